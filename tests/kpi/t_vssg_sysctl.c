/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* dev.hvvssg.N: what it says, and what may be changed when. */

#include "kpi_fixture.h"

static const char *
text_of(const char *name)
{
	static char text[8192];

	assert_int_equal(kpi_sysctl_get(vdev, name, text, sizeof(text)), 0);
	return (text);
}

static void
counters_and_states_follow_a_backup(void **state)
{
	(void)state;
	assert_string_equal(text_of("state"), "IDLE");
	assert_string_equal(text_of("failure"), "");
	assert_int_equal(kpi_sysctl_u64(vdev, "channel"), 1);
	assert_int_equal(kpi_sysctl_u64(vdev, "daemon"), 1);
	assert_int_equal(kpi_sysctl_u64(vdev, "apps"), 1);
	freeze();
	assert_string_equal(text_of("state"), "HOLDING");
	thaw();
	assert_int_equal(kpi_sysctl_u64(vdev, "requests"), 2);
	assert_int_equal(kpi_sysctl_u64(vdev, "replies"), 2);
	assert_non_null(strstr(text_of("trace"), "request"));
	client_close(&fs);
	ask(VSS_WIRE_FREEZE);
	assert_int_equal(reply(), FAIL_S);
	assert_non_null(strstr(text_of("failure"), "freeze daemon"));
}

static void
versions_are_those_agreed_on(void **state)
{
	static const struct vmbus_icmsg_version fw[] = { { 3, 0 }, { 1, 0 } };
	static const struct vmbus_icmsg_version msg[] = { { 5, 0 }, { 4, 0 } };
	const struct vmbus_icmsg_versions all = { fw, msg, 2, 2 };
	uint8_t pkt[128];
	uint32_t len;

	(void)state;
	assert_string_equal(text_of("msg_version"), "0.0");
	len = vmbus_icmsg_offer(pkt, sizeof(pkt), &all);
	assert_int_equal(
	    kpi_host_send(chan, VMBUS_RING_INBAND, ++last_xactid, pkt, len), 0);
	assert_int_equal(reply(), VMBUS_ICMSG_S_OK);
	assert_string_equal(text_of("fw_version"), "3.0");
	assert_string_equal(text_of("msg_version"), "5.0");
}

static void
limits_are_changed_when_nothing_runs(void **state)
{
	(void)state;
	assert_int_equal(kpi_sysctl_u64(vdev, "limits.hold"), 60000);
	assert_int_equal(kpi_sysctl_set(vdev, "limits.hold", 0), EINVAL);
	assert_int_equal(kpi_sysctl_set(vdev, "limits.hold", 901000), EINVAL);
	assert_int_equal(
	    kpi_sysctl_set(vdev, "limits.hold", 0xffffffffU), EINVAL);
	assert_int_equal(kpi_sysctl_set(vdev, "limits.fs", 121000), EINVAL);
	assert_int_equal(kpi_sysctl_set(vdev, "limits.hold", 2000), 0);
	freeze();
	assert_int_equal(kpi_sysctl_set(vdev, "limits.hold", 3000), EBUSY);
	assert_int_equal(kpi_sysctl_u64(vdev, "limits.hold"), 2000);
	kpi_advance_ms(2001);
	assert_int_equal(kpi_sysctl_u64(vdev, "lost"), 1);
	serve(&fs, HV_VSS_THAW, VSS_SUCCESS);
	serve(&app, HV_VSS_THAW, VSS_SUCCESS);
	/* They stay when the module's devices are made anew. */
	assert_int_equal(kpi_sysctl_set(vdev, "limits.hold", 60000), 0);
}

/* In the order of the table PREPARE would not fit into the new FREEZE. */
static void
limits_of_loader_conf_are_taken_together(void **state)
{
	struct vss_engine_conf ec, plain;

	(void)state;
	vss_engine_conf_default(&plain);
	vssg_sysctl_tunables(&ec, vdev);
	assert_memory_equal(&ec, &plain, sizeof(ec));
	kpi_env_set("dev.hvvssg.0.besteffort", 1);
	kpi_env_set("dev.hvvssg.0.limits.freeze", 60000);
	vssg_sysctl_tunables(&ec, vdev);
	assert_int_equal(ec.ec_freeze_ns, 60 * VSS_NS_PER_S);
	assert_int_equal(ec.ec_prepare_ns, 40 * VSS_NS_PER_S);
	assert_true(ec.ec_besteffort);
	kpi_env_set("dev.hvvssg.0.limits.prepare", 50000);
	vssg_sysctl_tunables(&ec, vdev);
	assert_int_equal(ec.ec_prepare_ns, 50 * VSS_NS_PER_S);
	assert_false(kpi_log_has("loader.conf"));
	kpi_env_set("dev.hvvssg.0.limits.fs", 61000);
	vssg_sysctl_tunables(&ec, vdev);
	assert_memory_equal(&ec, &plain, sizeof(ec));
	assert_true(kpi_log_has("loader.conf are not taken"));
	kpi_env_clear();
}

static void
best_effort_does_not_wait_for_the_silent(void **state)
{
	(void)state;
	assert_int_equal(kpi_sysctl_set(vdev, "besteffort", 1), 0);
	assert_int_equal(kpi_sysctl_u64(vdev, "besteffort"), 1);
	ask(VSS_WIRE_FREEZE);
	kpi_advance_ms(10001);
	serve(&fs, HV_VSS_FREEZE, VSS_SUCCESS);
	assert_int_equal(reply(), VMBUS_ICMSG_S_OK);
	assert_int_equal(kpi_sysctl_u64(vdev, "stale"), 1);
	ask(VSS_WIRE_THAW);
	serve(&fs, HV_VSS_THAW, VSS_SUCCESS);
	assert_int_equal(reply(), VMBUS_ICMSG_S_OK);
	assert_int_equal(kpi_sysctl_set(vdev, "besteffort", 0), 0);
	assert_int_equal(kpi_sysctl_u64(vdev, "besteffort"), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(counters_and_states_follow_a_backup),
		CASE(versions_are_those_agreed_on),
		CASE(limits_are_changed_when_nothing_runs),
		CASE(limits_of_loader_conf_are_taken_together),
		CASE(best_effort_does_not_wait_for_the_silent),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
