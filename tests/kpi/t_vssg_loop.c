/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* The loop transport: a host that reads and writes a device. */

#include "kpi_fixture.h"

#include "hv_vss_loop.h"

static struct client host;
static uint8_t buf[HV_VSS_LOOP_MAX];

static int
setup(void **state)
{
	(void)state;
	kpi_log_clear();
	assert_int_equal(kpi_module_load(), 0);
	vdev = device_find_child(kpi_bus("nexus"), VSSG_NAME, -1);
	assert_non_null(vdev);
	assert_int_equal(try_open(&host, HV_VSS_LOOP_NAME, "host", 0), 0);
	client_open(&fs, FS, "hv_vss_daemon");
	client_open(&app, APP, "database");
	return (0);
}

static int
teardown(void **state)
{
	if (host.c_file != NULL)
		client_close(&host);
	if (fs.c_file != NULL)
		client_close(&fs);
	if (app.c_file != NULL)
		client_close(&app);
	vdev = NULL;
	assert_int_equal(machine_down(state), 0);
	assert_false(kpi_cdev_exists(HV_VSS_LOOP_NAME));
	return (0);
}

static int
loop_send(const void *pkt, uint32_t len)
{
	struct hv_vss_loop hl = { ++last_xactid, len, 0 };

	memcpy(buf, &hl, sizeof(hl));
	memcpy(buf + sizeof(hl), pkt, len);
	return (kpi_write(host.c_file, buf, sizeof(hl) + len));
}

static void
loop_ask(uint8_t op)
{
	uint8_t pkt[VSS_WIRE_MIN_LEN];

	packet(pkt, op);
	assert_int_equal(loop_send(pkt, sizeof(pkt)), 0);
}

static uint32_t
loop_reply(void)
{
	struct vmbus_icmsg im;
	struct hv_vss_loop hl;
	size_t len = sizeof(buf);

	assert_int_equal(kpi_poll(host.c_file, POLLIN, WAIT_MS), POLLIN);
	assert_int_equal(kpi_read(host.c_file, buf, &len), 0);
	memcpy(&hl, buf, sizeof(hl));
	assert_int_equal(hl.hl_len, len - sizeof(hl));
	assert_int_equal(hl.hl_xactid, last_xactid);
	assert_int_equal(
	    vmbus_icmsg_decode(buf + sizeof(hl), hl.hl_len, &im), 0);
	return (im.im_status);
}

static void
a_backup_through_the_device(void **state)
{
	(void)state;
	loop_ask(VSS_WIRE_CHECK_HOT_BACKUP);
	serve(&app, HV_VSS_CHECK, VSS_SUCCESS);
	serve(&fs, HV_VSS_CHECK, VSS_SUCCESS);
	assert_int_equal(loop_reply(), VMBUS_ICMSG_S_OK);
	loop_ask(VSS_WIRE_FREEZE);
	serve(&app, HV_VSS_FREEZE, VSS_SUCCESS);
	serve(&fs, HV_VSS_FREEZE, VSS_SUCCESS);
	assert_int_equal(loop_reply(), VMBUS_ICMSG_S_OK);
	loop_ask(VSS_WIRE_THAW);
	serve(&fs, HV_VSS_THAW, VSS_SUCCESS);
	serve(&app, HV_VSS_THAW, VSS_SUCCESS);
	assert_int_equal(loop_reply(), VMBUS_ICMSG_S_OK);
}

static void
a_host_that_closes_takes_the_channel_away(void **state)
{
	struct client second;

	(void)state;
	assert_int_equal(try_open(&second, HV_VSS_LOOP_NAME, "two", 0), EBUSY);
	loop_ask(VSS_WIRE_FREEZE);
	serve(&app, HV_VSS_FREEZE, VSS_SUCCESS);
	serve(&fs, HV_VSS_FREEZE, VSS_SUCCESS);
	assert_int_equal(loop_reply(), VMBUS_ICMSG_S_OK);
	client_close(&host);
	assert_int_equal(kpi_sysctl_u64(vdev, "channel"), 0);
	serve(&fs, HV_VSS_THAW, VSS_SUCCESS);
	serve(&app, HV_VSS_THAW, VSS_SUCCESS);
	assert_int_equal(try_open(&host, HV_VSS_LOOP_NAME, "again", 0), 0);
	assert_int_equal(kpi_sysctl_u64(vdev, "channel"), 1);
	loop_ask(VSS_WIRE_THAW);
	assert_int_equal(loop_reply(), FAIL_S);
}

static void
wrong_reads_and_writes_are_refused(void **state)
{
	static uint8_t
	    longer[sizeof(struct hv_vss_loop) + HV_VSS_LOOP_PAYLOAD + 1];
	struct hv_vss_loop hl = { 1, 8, 0 };
	size_t len;

	(void)state;
	assert_int_equal(kpi_write(host.c_file, &hl, 8), EINVAL);
	assert_int_equal(kpi_write(host.c_file, &hl, sizeof(hl)), EINVAL);
	hl.hl_len = 0xffffffffU;
	memcpy(buf, &hl, sizeof(hl));
	assert_int_equal(kpi_write(host.c_file, buf, sizeof(buf)), EINVAL);
	hl.hl_len = HV_VSS_LOOP_PAYLOAD + 1;
	memcpy(longer, &hl, sizeof(hl));
	assert_int_equal(
	    kpi_write(host.c_file, longer, sizeof(longer)), EINVAL);
	len = sizeof(buf) - 1;
	assert_int_equal(kpi_read(host.c_file, buf, &len), EINVAL);
	len = sizeof(buf);
	assert_int_equal(kpi_read(host.c_file, buf, &len), EAGAIN);
	assert_int_equal(len, 0);
	assert_int_equal(kpi_poll(host.c_file, POLLIN, 0), 0);
	assert_int_equal(kpi_poll(host.c_file, POLLOUT, 0), POLLOUT);
}

static void
a_full_ring_says_so_and_empties(void **state)
{
	uint8_t pkt[VSS_WIRE_MIN_LEN];
	unsigned sent, got;
	int error = 0;
	size_t len;

	(void)state;
	packet(pkt, VSS_WIRE_GET_DM_INFO);
	for (sent = 0; sent < 5000 && error == 0; sent++)
		error = loop_send(pkt, sizeof(pkt));
	assert_int_equal(error, EAGAIN);
	for (got = 1; got < sent; got++) {
		kpi_taskqueues_settle();
		kpi_advance_ms(11);
		len = sizeof(buf);
		assert_int_equal(
		    kpi_poll(host.c_file, POLLIN, WAIT_MS), POLLIN);
		assert_int_equal(kpi_read(host.c_file, buf, &len), 0);
	}
}

static void *
poll_host(void *arg)
{
	return ((void *)(intptr_t)kpi_poll(arg, POLLIN, WAIT_MS));
}

static void
unloading_under_the_host_wakes_it(void **state)
{
	struct hv_vss_loop hl = { 1, 0, 0 };
	pthread_t t;
	void *revents;

	(void)state;
	pthread_create(&t, NULL, poll_host, host.c_file);
	assert_int_equal(kpi_module_unload(true), 0);
	pthread_join(t, &revents);
	assert_true(((intptr_t)revents & POLLHUP) != 0);
	assert_int_equal(kpi_write(host.c_file, &hl, sizeof(hl)), ENXIO);
}

static void
the_module_waits_for_a_close_of_the_host(void **state)
{
	pthread_t t;

	(void)state;
	client_close(&fs);
	client_close(&app);
	t = begin_close(&host, HV_VSS_LOOP_NAME);
	assert_int_equal(kpi_module_unload(false), 0);
	assert_false(end_close(t));
}

#define LOOP_CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		LOOP_CASE(a_backup_through_the_device),
		LOOP_CASE(a_host_that_closes_takes_the_channel_away),
		LOOP_CASE(wrong_reads_and_writes_are_refused),
		LOOP_CASE(a_full_ring_says_so_and_empties),
		LOOP_CASE(unloading_under_the_host_wakes_it),
		LOOP_CASE(the_module_waits_for_a_close_of_the_host),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
