# What is FreeBSD's alone, compiled and tested on another system: against one
# header, fbsd.h, that stands in for each of the system's.

FBSD_HEADERS= fbsd/sys/mount.h fbsd/sys/sysctl.h
FBSD_CPPFLAGS= -Ifbsd -I$(TOP)/tests/freebsd $(CPPFLAGS_ALL)
FBSD_CC= $(CC) $(FBSD_CPPFLAGS) $(CFLAGS_ALL)
$(FBSD_HEADERS): $(TOP)/tests/freebsd/sources.mk
	@mkdir -p fbsd/sys
	@echo '#include "fbsd.h"' >$@

FBSD_PLAN_OBJS= plan.o lun.o fs_types.o fs_table.o fbsd_fs.o fbsd_fs_geom.o \
	fbsd_fs_types.o
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
