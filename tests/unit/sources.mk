# Unit tests: t_FILE.c tests the source FILE.c, one to one.  Add its name here;
# it is linked with cmocka and the archives below.

# Frz_pool.o is of the freezer, which is no archive.
UNIT_ARCHIVES= $(UNIT_OBJS_$(OS)) emulink.a daemon.a plan.a ctl.a lib.a common.a core.a common.a
UNIT_LIBS= $(PLAN_LIBS)
UNIT_TESTS+=
UNIT_TESTS+= t_plan.t t_check.t t_fs_types.t t_fs_table.t
UNIT_TESTS+= t_conf.t t_conf_file.t t_report.t t_guid.t
UNIT_TESTS+= t_json.t t_ckpt.t t_ckpt_digest.t t_history.t t_prom.t t_ctl_chart.t
UNIT_TESTS+= t_notify.t t_fdwait.t t_apart.t
UNIT_TESTS_Linux= t_confine.t t_frz_pool.t
UNIT_OBJS_Linux= frz_pool.o
UNIT_TESTS+= $(UNIT_TESTS_$(OS))
UNIT_TESTS+= t_stage.t t_stage_lost.t t_action.t
UNIT_TESTS+= t_client.t
UNIT_TESTS+= t_engine.t
UNIT_TESTS+= t_ctl_work.t t_ctl_lines.t t_ctl_hookdir.t t_ctl_owed.t
UNIT_TESTS+= t_ctl_run_args.t t_ctl_child.t t_ctl_coproc.t
UNIT_TESTS+= t_lib_flow.t
UNIT_TESTS+= t_frz_msg.t t_dm_record.t
UNIT_TESTS+= t_emulink.t t_icmsg.t t_ring.t t_ring_peer.t t_ring_race.t t_trace.t t_vss_wire.t
$(UNIT_TESTS): $(UNIT_ARCHIVES)
