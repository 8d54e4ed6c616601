# Sources, objects and link rules of ctl/.

CTL_SRCS= hv_vssctl.c ctl_check.c ctl_run.c ctl_dev.c ctl_work.c ctl_clock.c
CTL_OBJS= $(CTL_SRCS:.c=.o)
# Everything but main, for the unit tests.
CTL_LIB_OBJS= ctl_check.o ctl_run.o ctl_dev.o ctl_work.o ctl_clock.o
PROGS+= $(OUT)/bin/hv_vssctl
ctl.a: $(CTL_LIB_OBJS)
	rm -f $@ && $(AR) rcs $@ $(CTL_LIB_OBJS)
$(OUT)/bin/hv_vssctl: hv_vssctl.o ctl.a lib.a plan.a common.a
	$(CC) $(LDFLAGS_ALL) -o $@ hv_vssctl.o ctl.a lib.a plan.a common.a \
	    $(PLAN_LIBS) -pthread
