# Sources, objects and link rules of ctl/.

CTL_SRCS= hv_vssctl.c ctl_check.c ctl_run.c ctl_run_args.c ctl_dev.c \
	ctl_work.c ctl_coproc.c ctl_child.c ctl_lines.c ctl_hookdir.c ctl_owed.c \
	ctl_clock.c
CTL_SRCS+= ctl_view.c ctl_status.c ctl_history.c ctl_timeline.c ctl_chart.c \
	ctl_svg.c ctl_thaw.c ctl_test.c ctl_health.c
CTL_OBJS= $(CTL_SRCS:.c=.o)
# Everything but main, for the unit tests.
CTL_LIB_OBJS= $(CTL_OBJS:hv_vssctl.o=)
PROGS+= $(OUT)/bin/hv_vssctl
ctl.a: $(CTL_LIB_OBJS)
	rm -f $@ && $(AR) rcs $@ $(CTL_LIB_OBJS)
$(OUT)/bin/hv_vssctl: hv_vssctl.o ctl.a lib.a plan.a common.a core.a
	$(CC) $(LDFLAGS_ALL) -o $@ hv_vssctl.o ctl.a lib.a plan.a common.a core.a \
	    $(PLAN_LIBS) -pthread
