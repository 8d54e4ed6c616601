# What is FreeBSD's alone, compiled and tested on another system: against one
# header, fbsd.h, that stands in for each of the system's.

FBSD_HEADERS= fbsd/sys/mount.h fbsd/sys/sysctl.h fbsd/sys/procdesc.h \
	fbsd/sys/procctl.h fbsd/ufs/ffs/fs.h fbsd/cam/cam.h \
	fbsd/cam/cam_ccb.h fbsd/cam/scsi/scsi_pass.h
FBSD_CPPFLAGS= -Ifbsd -I$(TOP)/tests/freebsd $(CPPFLAGS_ALL)
FBSD_CC= $(CC) $(FBSD_CPPFLAGS) $(CFLAGS_ALL)
$(FBSD_HEADERS): $(TOP)/tests/freebsd/sources.mk
	@mkdir -p $(@D)
	@echo '#include "fbsd.h"' >$@

FBSD_PLAN_OBJS= plan.o lun.o fs_types.o fs_table.o fbsd_fs.o fbsd_fs_geom.o \
	fbsd_fs_types.o fbsd_lun.o
fbsd_lun.o: $(TOP)/daemon/lun_freebsd.c $(FBSD_HEADERS)
	$(FBSD_CC) -c -o $@ $(TOP)/daemon/lun_freebsd.c
fbsd_fs.o: $(TOP)/daemon/fs_freebsd.c $(FBSD_HEADERS)
	$(FBSD_CC) -c -o $@ $(TOP)/daemon/fs_freebsd.c
fbsd_fs_geom.o: $(TOP)/daemon/fs_freebsd_geom.c $(FBSD_HEADERS)
	$(FBSD_CC) -c -o $@ $(TOP)/daemon/fs_freebsd_geom.c
fbsd_fs_types.o: $(TOP)/daemon/fs_types_freebsd.c
	$(FBSD_CC) -c -o $@ $(TOP)/daemon/fs_types_freebsd.c
t_fs_freebsd.o: $(TOP)/tests/unit/t_fs_freebsd.c
	$(FBSD_CC) -c -o $@ $(TOP)/tests/unit/t_fs_freebsd.c

UNIT_TESTS+= t_fs_freebsd.t
t_fs_freebsd.t: t_fs_freebsd.o $(FBSD_PLAN_OBJS) common.a
	$(CC) $(LDFLAGS_ALL) -o $@ t_fs_freebsd.o $(FBSD_PLAN_OBJS) common.a \
	    -lcmocka

# The freezer: the test that starts it plays the kernel (fbsd_kernel.c).
FBSD_FREEZER= $(OUT)/tests/hv_vss_freezer_freebsd
FBSD_FREEZER_OBJS= hv_vss_freezer.o fbsd_frz_worker.o fbsd_frz_guard.o \
	fbsd_frz_ufs.o fbsd_frz.o fbsd_kernel.o frz_msg.o $(OS_OBJS)
E2E_PROGS+= $(FBSD_FREEZER)
fbsd_frz_worker.o: $(TOP)/freezer/frz_worker_freebsd.c $(FBSD_HEADERS)
	$(FBSD_CC) -c -o $@ $(TOP)/freezer/frz_worker_freebsd.c
fbsd_frz_guard.o: $(TOP)/freezer/frz_guard_freebsd.c $(FBSD_HEADERS)
	$(FBSD_CC) -c -o $@ $(TOP)/freezer/frz_guard_freebsd.c
fbsd_frz_ufs.o: $(TOP)/freezer/frz_ufs.c $(FBSD_HEADERS)
	$(FBSD_CC) -c -o $@ $(TOP)/freezer/frz_ufs.c
fbsd_frz.o: $(TOP)/freezer/frz_freebsd.c $(FBSD_HEADERS)
	$(FBSD_CC) -c -o $@ $(TOP)/freezer/frz_freebsd.c
fbsd_kernel.o: $(TOP)/tests/freebsd/fbsd_kernel.c
	$(FBSD_CC) -c -o $@ $(TOP)/tests/freebsd/fbsd_kernel.c
$(FBSD_FREEZER): $(FBSD_FREEZER_OBJS)
	$(CC) $(LDFLAGS_ALL) -o $@ $(FBSD_FREEZER_OBJS)

# What hv_vssctl says of the module.
UNIT_TESTS+= t_status_freebsd.t
fbsd_status.o: $(TOP)/common/status_freebsd.c $(FBSD_HEADERS)
	$(FBSD_CC) -c -o $@ $(TOP)/common/status_freebsd.c
t_status_freebsd.o: $(TOP)/tests/unit/t_status_freebsd.c
	$(FBSD_CC) -c -o $@ $(TOP)/tests/unit/t_status_freebsd.c
t_status_freebsd.t: t_status_freebsd.o fbsd_status.o $(UNIT_ARCHIVES)
	$(CC) $(LDFLAGS_ALL) -o $@ t_status_freebsd.o fbsd_status.o \
	    $(UNIT_ARCHIVES) $(UNIT_LIBS) -lcmocka
