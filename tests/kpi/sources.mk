# The FreeBSD module's own sources on a stand-in for the kernel (kpi.h), with
# the tests that run them: t_vssg_FILE.c tests vssg_FILE.c.

KPI_CFLAGS= -D_KERNEL -I$(TOP)/tests/kpi/include -I$(TOP)/tests/kpi \
	-I$(TOP)/sys/freebsd
CFLAGS_$(TOP)/tests/kpi= $(KPI_CFLAGS)
CFLAGS_$(TOP)/sys/freebsd= $(KPI_CFLAGS)

KPI_OBJS= kpi_sync.o kpi_file.o kpi_bus.o kpi_vmbus.o
VSSG_OBJS= vssg_main.o vssg_dev.o vssg_vmbus.o vssg_sysctl.o vssg_log.o \
	dev_calls.o
KPI_TESTS= t_vssg_main.t t_vssg_dev.t t_vssg_vmbus.t t_vssg_sysctl.t
KPI_LOOP_TESTS= t_vssg_loop.t
UNIT_TESTS+= $(KPI_TESTS) $(KPI_LOOP_TESTS)

KPI_LINK= $(CC) $(LDFLAGS_ALL) -pthread
$(KPI_TESTS): $(KPI_OBJS) $(VSSG_OBJS) core.a
	$(KPI_LINK) -o $@ $(@:.t=.o) $(VSSG_OBJS) $(KPI_OBJS) core.a -lcmocka
$(KPI_LOOP_TESTS): $(KPI_OBJS) $(VSSG_OBJS) vssg_loop.o core.a
	$(KPI_LINK) -o $@ $(@:.t=.o) $(VSSG_OBJS) vssg_loop.o $(KPI_OBJS) \
	    core.a -lcmocka
t_vssg_main.t: t_vssg_main.o
t_vssg_dev.t: t_vssg_dev.o
t_vssg_vmbus.t: t_vssg_vmbus.o
t_vssg_sysctl.t: t_vssg_sysctl.o
t_vssg_loop.t: t_vssg_loop.o
