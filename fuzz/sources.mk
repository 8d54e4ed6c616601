# Fuzz harnesses.  Each is fuzz_NAME.t: with VARIANT=fuzz a libFuzzer program,
# otherwise one that replays fuzz/corpus/NAME, a unit test.

FUZZ_TESTS= fuzz_ring.t fuzz_icmsg.t fuzz_wire.t fuzz_worker.t fuzz_guard.t \
	fuzz_conf.t fuzz_record.t fuzz_plan.t fuzz_link.t fuzz_utils.t \
	fuzz_device.t fuzz_engine.t fuzz_host.t fuzz_daemon.t fuzz_history.t \
	fuzz_freebsd.t
UNIT_TESTS+= $(FUZZ_TESTS)
fuzzers: $(FUZZ_TESTS)
	@echo $(FUZZ_TESTS:.t=) >fuzzers

FUZZ_LINK= $(CC) $(LDFLAGS_ALL)
$(FUZZ_TESTS): fuzz_main.o

fuzz_ring.t: f_ring.o icmsg.o common.a
	$(FUZZ_LINK) -o $@ f_ring.o icmsg.o common.a $(FUZZ_MAIN)
fuzz_icmsg.t: f_icmsg.o core.a common.a
	$(FUZZ_LINK) -o $@ f_icmsg.o core.a common.a $(FUZZ_MAIN)
fuzz_wire.t: f_wire.o core.a common.a
	$(FUZZ_LINK) -o $@ f_wire.o core.a common.a $(FUZZ_MAIN)
fuzz_worker.t: f_worker.o frz_msg.o common.a
	$(FUZZ_LINK) -o $@ f_worker.o frz_msg.o common.a $(FUZZ_MAIN)
fuzz_guard.t: f_guard.o frz_msg.o common.a
	$(FUZZ_LINK) -o $@ f_guard.o frz_msg.o common.a $(FUZZ_MAIN)
fuzz_conf.t: f_conf.o core.a common.a
	$(FUZZ_LINK) -o $@ f_conf.o common.a core.a common.a $(FUZZ_MAIN)
fuzz_record.t: f_record.o common.a
	$(FUZZ_LINK) -o $@ f_record.o common.a $(FUZZ_MAIN)
fuzz_plan.t: f_plan.o lun.o fs_table.o fs_types.o fs_types_linux.o common.a
	$(FUZZ_LINK) -o $@ f_plan.o lun.o fs_table.o fs_types.o fs_types_linux.o common.a \
	    $(FUZZ_MAIN) $(PLAN_LIBS)
# plan.c is in the harness.
FUZZ_FREEBSD_OBJS= f_freebsd.o lun.o fs_types.o fs_table.o fbsd_fs.o \
	fbsd_fs_geom.o fbsd_fs_types.o fbsd_lun.o
f_freebsd.o: $(TOP)/fuzz/f_freebsd.c $(FBSD_HEADERS)
	$(FBSD_CC) -c -o $@ $(TOP)/fuzz/f_freebsd.c
fuzz_freebsd.t: $(FUZZ_FREEBSD_OBJS) common.a
	$(FUZZ_LINK) -o $@ $(FUZZ_FREEBSD_OBJS) common.a $(FUZZ_MAIN)
fuzz_link.t: f_link.o emulink.a core.a common.a
	$(FUZZ_LINK) -o $@ f_link.o emulink.a core.a common.a $(FUZZ_MAIN)
fuzz_utils.t: f_utils.o drv_link.o drv_emu.o drv_ring.o drv_uio.o drv_bus.o emulink.a core.a common.a
	$(FUZZ_LINK) -o $@ f_utils.o drv_link.o drv_emu.o drv_ring.o drv_uio.o drv_bus.o emulink.a core.a \
	    common.a $(FUZZ_MAIN)
fuzz_device.t: f_device.o dev_calls.o drv_log.o core.a common.a
	$(FUZZ_LINK) -o $@ f_device.o dev_calls.o drv_log.o common.a core.a common.a \
	    $(FUZZ_MAIN) -lfuse3
fuzz_engine.t: f_engine.o core.a common.a
	$(FUZZ_LINK) -o $@ f_engine.o core.a common.a $(FUZZ_MAIN)
fuzz_host.t: f_host.o core.a common.a
	$(FUZZ_LINK) -o $@ f_host.o core.a common.a $(FUZZ_MAIN) -lfuse3
fuzz_daemon.t: f_daemon.o dm_report.o frz_msg.o core.a common.a
	$(FUZZ_LINK) -o $@ f_daemon.o dm_report.o frz_msg.o common.a core.a \
	    common.a $(FUZZ_MAIN)
fuzz_history.t: f_history.o ctl_chart.o ctl_svg.o ctl_view.o core.a common.a
	$(FUZZ_LINK) -o $@ f_history.o ctl_chart.o ctl_svg.o ctl_view.o common.a \
	    core.a common.a $(FUZZ_MAIN)
