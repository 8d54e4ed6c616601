# Sources, objects and link rules of daemon/.

# The plan and what it knows of the system; the programs that use it want
# PLAN_LIBS.
PLAN_SRCS= plan.c lun.c check.c fs_types.c fs_table.c $(PLAN_SRCS_$(OS))
PLAN_SRCS_Linux= lun_linux.c fs_types_linux.c fs_linux.c fs_linux_block.c fs_linux_ns.c
PLAN_SRCS_FreeBSD= lun_freebsd.c fs_types_freebsd.c fs_freebsd.c fs_freebsd_geom.c
PLAN_OBJS= $(PLAN_SRCS:.c=.o)
PLAN_LIBS= $(PLAN_LIBS_$(OS))
PLAN_LIBS_Linux= -lmount
PLAN_LIBS_FreeBSD=
plan.a: $(PLAN_OBJS)
	rm -f $@ && $(AR) rcs $@ $(PLAN_OBJS)

DAEMON_SRCS= dm_device.c dm_txn.c dm_again.c dm_undo.c dm_luns.c \
	dm_helpers.c dm_report.c dm_history.c $(DAEMON_SRCS_$(OS))
DAEMON_SRCS_Linux= dm_linux.c dm_record.c dm_recover.c dm_probe.c dm_rcu.c
DAEMON_SRCS_FreeBSD= dm_freebsd.c
DAEMON_OBJS= $(DAEMON_SRCS:.c=.o) frz_msg.o $(DAEMON_OBJS_$(OS))
DAEMON_OBJS_Linux= frz_fs.o frz_rcu.o
daemon.a: $(DAEMON_OBJS)
	rm -f $@ && $(AR) rcs $@ $(DAEMON_OBJS)
DAEMON_ARCHIVES= daemon.a plan.a common.a core.a
PROGS+= $(OUT)/bin/hv_vss_daemon
$(OUT)/bin/hv_vss_daemon: hv_vss_daemon.o $(DAEMON_ARCHIVES)
	$(CC) $(LDFLAGS_ALL) -o $@ hv_vss_daemon.o $(DAEMON_ARCHIVES) \
	    $(PLAN_LIBS) $(DAEMON_LIBS_$(OS))
DAEMON_LIBS_Linux=
DAEMON_LIBS_FreeBSD= -lutil
