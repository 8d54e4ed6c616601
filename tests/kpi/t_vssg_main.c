/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* The service: transactions, its life, and what happens when either breaks. */

#include "kpi_fixture.h"

static void
a_backup_from_check_to_complete(void **state)
{
	(void)state;
	ask(VSS_WIRE_CHECK_HOT_BACKUP);
	serve(&app, HV_VSS_CHECK, VSS_SUCCESS);
	serve(&fs, HV_VSS_CHECK, VSS_SUCCESS);
	assert_int_equal(reply(), VMBUS_ICMSG_S_OK);
	freeze();
	assert_int_equal(kpi_sysctl_u64(vdev, "frozen"), 1);
	thaw();
	ask(VSS_WIRE_BACKUP_COMPLETE);
	assert_int_equal(reply(), VMBUS_ICMSG_S_OK);
	assert_int_equal(kpi_sysctl_u64(vdev, "frozen"), 0);
	kpi_taskqueues_settle();
	assert_true(kpi_log_has("FREEZE: ok"));
	assert_true(kpi_log_has("THAW: ok"));
}

static void
a_refusal_fails_freeze_and_is_undone(void **state)
{
	struct hv_vss_reason hr = { "the log is full" };
	struct client app2;

	(void)state;
	client_open(&app2, APP, "webserver");
	ask(VSS_WIRE_FREEZE);
	serve(&app, HV_VSS_FREEZE, VSS_SUCCESS);
	assert_int_equal(read_op(&app2), HV_VSS_FREEZE);
	assert_int_equal(kpi_ioctl(app2.c_file, IOCHVVSSREASON, &hr), 0);
	assert_int_equal(answer(&app2, VSS_FAIL), 0);
	assert_int_equal(reply(), FAIL_S);
	assert_int_equal(read_op(&fs), HV_VSS_NONE);
	serve(&app, HV_VSS_THAW, VSS_SUCCESS);
	kpi_taskqueues_settle();
	assert_true(kpi_log_has("application webserver"));
	assert_false(kpi_log_has("(pid 0)"));
	assert_true(kpi_log_has("the log is full"));
	client_close(&app2);
	freeze();
}

static void
a_hold_that_is_too_long_is_undone(void **state)
{
	(void)state;
	freeze();
	kpi_advance_ms(59000);
	assert_int_equal(readable(&fs, 0), 0);
	kpi_advance_ms(1001);
	serve(&fs, HV_VSS_THAW, VSS_SUCCESS);
	serve(&app, HV_VSS_THAW, VSS_SUCCESS);
	ask(VSS_WIRE_THAW);
	assert_int_equal(reply(), FAIL_S);
	kpi_taskqueues_settle();
	assert_true(kpi_log_has("the hold was lost"));
}

static void
silence_is_answered_within_the_limit(void **state)
{
	(void)state;
	ask(VSS_WIRE_CHECK_HOT_BACKUP);
	assert_int_equal(no_reply(), NOREPLY);
	kpi_advance_ms(10001);
	assert_int_equal(reply(), FAIL_S);
}

static void
without_a_daemon_freeze_fails(void **state)
{
	(void)state;
	client_close(&fs);
	ask(VSS_WIRE_FREEZE);
	assert_int_equal(reply(), FAIL_S);
	assert_int_equal(read_op(&app), HV_VSS_NONE);
}

static void
the_daemon_that_dies_breaks_the_hold(void **state)
{
	(void)state;
	freeze();
	client_close(&fs);
	serve(&app, HV_VSS_THAW, VSS_SUCCESS);
	ask(VSS_WIRE_THAW);
	assert_int_equal(reply(), FAIL_S);
	kpi_taskqueues_settle();
	assert_true(kpi_log_has("the hold was lost"));
}

static void
lines_beyond_the_room_are_counted(void **state)
{
	(void)state;
	kpi_taskqueues_settle();
	mtx_lock(&vssg.vs_mtx);
	vssg.vs_nlines_lost = 0;
	for (unsigned i = 0; i < VSSG_NLINES + 8; i++)
		vssg_log(&vssg, VSSG_LINE_CHANNEL, 0, "a line");
	assert_int_equal(vssg.vs_nlines, VSSG_NLINES);
	assert_int_equal(vssg.vs_nlines_lost, 8);
	mtx_unlock(&vssg.vs_mtx);
	kpi_taskqueues_settle();
	assert_true(kpi_log_has("a line"));
}

static void
a_suspension_counts_for_every_limit(void **state)
{
	(void)state;
	freeze();
	kpi_device_resume(vdev);
	serve(&fs, HV_VSS_THAW, VSS_SUCCESS);
	serve(&app, HV_VSS_THAW, VSS_SUCCESS);
	ask(VSS_WIRE_THAW);
	assert_int_equal(reply(), FAIL_S);
	ask(VSS_WIRE_CHECK_HOT_BACKUP);
	kpi_device_resume(vdev);
	assert_int_equal(reply(), FAIL_S);
}

/* Steps of one backup; each leaves the machine at another place. */
static void
step_check(void)
{
	ask(VSS_WIRE_CHECK_HOT_BACKUP);
}

static void
step_freeze(void)
{
	ask(VSS_WIRE_FREEZE);
}

static void
step_app_read(void)
{
	step_freeze();
	assert_int_equal(read_op(&app), HV_VSS_FREEZE);
}

static void
step_app_frozen(void)
{
	step_app_read();
	assert_int_equal(answer(&app, VSS_SUCCESS), 0);
}

static void
step_fs_read(void)
{
	step_app_frozen();
	assert_int_equal(read_op(&fs), HV_VSS_FREEZE);
}

static void
step_hold(void)
{
	step_fs_read();
	assert_int_equal(answer(&fs, VSS_SUCCESS), 0);
	assert_int_equal(reply(), VMBUS_ICMSG_S_OK);
}

static void
step_thaw(void)
{
	step_hold();
	ask(VSS_WIRE_THAW);
}

static void
step_fs_thawed(void)
{
	step_thaw();
	serve(&fs, HV_VSS_THAW, VSS_SUCCESS);
}

static void
step_undo(void)
{
	step_hold();
	kpi_advance_ms(60001);
}

static void
step_nothing(void)
{
}

static void (*const steps[])(void) = { step_nothing, step_check, step_freeze,
	step_app_read, step_app_frozen, step_fs_read, step_hold, step_thaw,
	step_fs_thawed, step_undo };

/* Whoever was told to come to rest is told to go on, and answers. */
static void
let_go(struct client *c)
{
	while (read_op(c) != HV_VSS_NONE)
		assert_int_equal(answer(c, VSS_SUCCESS), 0);
}

static void
a_revoked_channel_at_every_step_undoes_and_comes_back(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < nitems(steps); i++) {
		steps[i]();
		kpi_chan_revoke(chan);
		channel_gone();
		assert_true(kpi_cdev_exists(FS));
		let_go(&fs);
		let_go(&app);
		channel_offer();
		let_go(&fs);
		let_go(&app);
		assert_string_equal(state_is(), "IDLE");
		freeze();
		thaw();
	}
}

/* Poll says so, every ioctl fails, and the descriptor can be closed. */
static void
assert_gone(struct client *c)
{
	struct hv_vss_opt_msg msg;

	assert_true((readable(c, 0) & POLLHUP) != 0);
	assert_int_equal(kpi_ioctl(c->c_file, IOCHVVSSREAD, &msg), ENXIO);
}

static void
a_forced_unload_at_every_step_is_clean(void **state)
{
	size_t i;

	for (i = 0; i < nitems(steps); i++) {
		steps[i]();
		assert_int_equal(kpi_module_unload(false), EBUSY);
		assert_true(kpi_log_has("2 clients have its devices open"));
		assert_int_equal(kpi_module_unload(true), 0);
		assert_false(kpi_cdev_exists(FS));
		assert_gone(&fs);
		assert_gone(&app);
		client_close(&fs);
		client_close(&app);
		channel_gone();
		with_clients(state);
		assert_string_equal(state_is(), "IDLE");
		freeze();
		thaw();
	}
}

static void
a_detach_at_every_step_takes_the_devices_along(void **state)
{
	size_t i;
	int error;

	(void)state;
	for (i = 0; i < nitems(steps); i++) {
		steps[i]();
		assert_int_equal(kpi_device_detach(vdev), 0);
		assert_false(kpi_chan_is_open(chan));
		assert_false(kpi_cdev_exists(APP));
		assert_gone(&fs);
		client_close(&fs);
		client_close(&app);
		kpi_device_remove(vdev);
		vdev = kpi_device_add(kpi_bus("vmbus"), chan, &error);
		assert_int_equal(error, 0);
		client_open(&fs, FS, "hv_vss_daemon");
		client_open(&app, APP, "database");
		freeze();
		thaw();
	}
}

static void
with_nobody_there_unloading_is_not_refused(void **state)
{
	(void)state;
	client_close(&fs);
	client_close(&app);
	assert_int_equal(kpi_module_unload(false), 0);
	assert_false(kpi_chan_is_open(chan));
}

static void
a_second_channel_is_turned_down(void **state)
{
	struct vmbus_channel *other = kpi_chan_new(vss_guid);
	device_t dev;
	int error;

	(void)state;
	dev = kpi_device_add(kpi_bus("vmbus"), other, &error);
	assert_int_equal(error, EBUSY);
	assert_true(kpi_log_has("serves the host already"));
	kpi_device_remove(dev);
	kpi_chan_free(other);
	freeze();
	thaw();
}

static void
device_names_that_are_taken_are_left_alone(void **state)
{
	struct cdev *foreign;
	device_t dev;
	int error;

	(void)state;
	foreign = kpi_cdev_foreign(APP);
	assert_int_equal(kpi_module_load(), 0);
	chan = kpi_chan_new(vss_guid);
	dev = kpi_device_add(kpi_bus("vmbus"), chan, &error);
	assert_int_equal(error, EEXIST);
	assert_true(kpi_log_has("another driver has made it"));
	assert_false(kpi_cdev_exists(FS));
	assert_true(kpi_cdev_exists(APP));
	kpi_device_remove(dev);
	destroy_dev(foreign);
	kpi_chan_free(chan);
	channel_offer();
}

static void
without_memory_for_its_thread_it_stays_away(void **state)
{
	device_t dev;
	int error;

	(void)state;
	assert_int_equal(kpi_module_load(), 0);
	chan = kpi_chan_new(vss_guid);
	kpi_taskqueue_fail(ENOMEM);
	dev = kpi_device_add(kpi_bus("vmbus"), chan, &error);
	kpi_taskqueue_fail(0);
	assert_int_equal(error, ENOMEM);
	assert_false(kpi_cdev_exists(FS));
	kpi_device_remove(dev);
	kpi_chan_free(chan);
	channel_offer();
}

static void
the_base_systems_driver_is_noticed(void **state)
{
	(void)state;
	kpi_log_clear();
	assert_int_equal(kpi_module_load(), 0);
	assert_false(kpi_log_has("this one stays away"));
	assert_int_equal(kpi_module_unload(false), 0);
	kpi_base_driver(true);
	assert_int_equal(kpi_module_load(), 0);
	assert_true(kpi_log_has("this one stays away"));
	kpi_base_driver(false);
}

/* An assertion of core: a slot that is open and has no client. */
static void
break_the_engine(void)
{
	struct hv_vss_opt_msg msg;

	mtx_lock(&vssg.vs_mtx);
	vssg.vs_clients[0].cl_serial = 0;
	mtx_unlock(&vssg.vs_mtx);
	assert_int_equal(kpi_ioctl(fs.c_file, IOCHVVSSREAD, &msg), ENXIO);
}

static void
a_broken_engine_fails_requests_and_frees_clients(void **state)
{
	struct client late;
	uint64_t first;

	(void)state;
	first = ask(VSS_WIRE_FREEZE);
	break_the_engine();
	assert_int_equal(reply_to(first, WAIT_MS), FAIL_S);
	ask(VSS_WIRE_CHECK_HOT_BACKUP);
	assert_int_equal(reply(), FAIL_S);
	ask(VSS_WIRE_THAW);
	assert_int_equal(reply(), FAIL_S);
	assert_gone(&fs);
	assert_gone(&app);
	assert_int_equal(try_open(&late, APP, "late", 0), ENXIO);
	assert_string_equal(state_is(), "broken");
	assert_int_equal(kpi_sysctl_u64(vdev, "broken"), 1);
	kpi_taskqueues_settle();
	assert_true(kpi_log_has("this must not be"));
}

static void *
poll_long(void *arg)
{
	struct client *c = arg;

	return ((void *)(intptr_t)readable(c, WAIT_MS));
}

static void
a_broken_engine_wakes_who_sleeps(void **state)
{
	pthread_t t;
	void *revents;

	(void)state;
	pthread_create(&t, NULL, poll_long, &app);
	kpi_wait_for_sleeper(&vssg.vs_opens[1].vo_sel);
	break_the_engine();
	pthread_join(t, &revents);
	assert_true(((intptr_t)revents & POLLHUP) != 0);
}

static void
a_broken_engine_has_no_room_and_goes_on_later(void **state)
{
	uint8_t pkt[VSS_WIRE_MIN_LEN];
	uint32_t asked = 0, n = 0;
	uint64_t first = last_xactid + 1;

	(void)state;
	break_the_engine();
	/* More than the guest's ring has room for replies to. */
	while (asked < 1000) {
		if (kpi_host_send(chan, VMBUS_RING_INBAND, last_xactid + 1, pkt,
			packet(pkt, VSS_WIRE_THAW)) == 0) {
			last_xactid++;
			asked++;
			continue;
		}
		kpi_host_settle(chan);
		kpi_advance_ms(11);
		for (; reply_to(first + n, 0) != NOREPLY; n++)
			;
	}
	while (n < asked) {
		kpi_host_settle(chan);
		kpi_advance_ms(11);
		for (; reply_to(first + n, 0) != NOREPLY; n++)
			;
	}
	assert_int_equal(n, asked);
}

static void
a_broken_engine_takes_a_turn_at_a_time(void **state)
{
	static const uint8_t foreign[8];
	int left = 400;
	uint64_t asked;

	(void)state;
	break_the_engine();
	/* So that it finds all of them at once. */
	mtx_lock(&vssg.vs_mtx);
	for (; left != 0; left--)
		assert_int_equal(kpi_host_send(chan, VMBUS_RING_COMPLETION, 0,
				     foreign, sizeof(foreign)),
		    0);
	asked = ask_async(VSS_WIRE_THAW);
	mtx_unlock(&vssg.vs_mtx);
	kpi_host_settle(chan);
	assert_int_equal(reply_to(asked, 0), NOREPLY);
	for (int i = 0; i < 400 / 64; i++) {
		kpi_advance_ms(11);
		kpi_host_settle(chan);
	}
	assert_int_equal(reply_to(asked, WAIT_MS), FAIL_S);
}

static void
loaded_anew_it_is_whole(void **state)
{
	break_the_engine();
	assert_int_equal(kpi_module_unload(true), 0);
	client_close(&fs);
	client_close(&app);
	channel_gone();
	with_clients(state);
	freeze();
	thaw();
}

/* Nobody reads the guest's ring, until the host's is full as well. */
static uint32_t
ask_until_both_rings_are_full(void)
{
	uint8_t pkt[VSS_WIRE_MIN_LEN];
	uint32_t asked = 0;

	packet(pkt, VSS_WIRE_GET_DM_INFO);
	while (kpi_host_send(chan, VMBUS_RING_INBAND, last_xactid + 1, pkt,
		   sizeof(pkt)) == 0) {
		last_xactid++;
		asked++;
		kpi_host_settle(chan);
	}
	assert_true(asked > 800);
	return (asked);
}

static void
replies_wait_for_room_and_none_is_lost(void **state)
{
	uint64_t first = last_xactid + 1;
	uint32_t asked, n = 0;

	(void)state;
	asked = ask_until_both_rings_are_full();
	while (n < asked) {
		kpi_host_settle(chan);
		kpi_advance_ms(11);
		for (; reply_to(first + n, 0) != NOREPLY; n++)
			;
	}
}

/* The host signals no packet that follows one which was left in its ring. */
static void
requests_left_in_the_ring_outlast_a_client_that_sends_the_replies(void **state)
{
	uint64_t first = last_xactid + 1;
	uint32_t asked, n = 0;
	int i;

	(void)state;
	asked = ask_until_both_rings_are_full();
	for (; reply_to(first + n, 0) != NOREPLY; n++)
		;
	/* There is room now, and a client's call is the first to find it. */
	assert_int_equal(read_op(&app), HV_VSS_NONE);
	for (i = 0; n < asked && i < 100; i++) {
		kpi_advance_ms(11);
		for (; reply_to(first + n, 0) != NOREPLY; n++)
			;
	}
	assert_int_equal(n, asked);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_backup_from_check_to_complete),
		CASE(a_refusal_fails_freeze_and_is_undone),
		CASE(a_hold_that_is_too_long_is_undone),
		CASE(silence_is_answered_within_the_limit),
		CASE(without_a_daemon_freeze_fails),
		CASE(the_daemon_that_dies_breaks_the_hold),
		CASE(lines_beyond_the_room_are_counted),
		CASE(a_suspension_counts_for_every_limit),
		CASE(a_revoked_channel_at_every_step_undoes_and_comes_back),
		CASE(a_forced_unload_at_every_step_is_clean),
		CASE(a_detach_at_every_step_takes_the_devices_along),
		CASE(with_nobody_there_unloading_is_not_refused),
		CASE(a_second_channel_is_turned_down),
		cmocka_unit_test_teardown(
		    device_names_that_are_taken_are_left_alone, close_all),
		cmocka_unit_test_teardown(
		    without_memory_for_its_thread_it_stays_away, close_all),
		cmocka_unit_test_teardown(
		    the_base_systems_driver_is_noticed, close_all),
		CASE(a_broken_engine_fails_requests_and_frees_clients),
		CASE(a_broken_engine_wakes_who_sleeps),
		CASE(a_broken_engine_has_no_room_and_goes_on_later),
		CASE(a_broken_engine_takes_a_turn_at_a_time),
		CASE(loaded_anew_it_is_whole),
		CASE(replies_wait_for_room_and_none_is_lost),
		CASE(
		    requests_left_in_the_ring_outlast_a_client_that_sends_the_replies),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
