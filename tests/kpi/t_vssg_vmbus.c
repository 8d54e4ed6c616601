/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* The vmbus(4) transport: what a host may write into the ring, and worse. */

#include "kpi_fixture.h"

static void
another_class_is_not_ours(void **state)
{
	static const uint8_t other[16] = { 1 };
	struct vmbus_channel *ch = kpi_chan_new(other);
	device_t dev;
	int error;

	(void)state;
	dev = kpi_device_add(kpi_bus("vmbus"), ch, &error);
	assert_int_equal(error, ENXIO);
	kpi_device_remove(dev);
	kpi_chan_free(ch);
}

static void
a_hint_switches_it_off(void **state)
{
	struct vmbus_channel *ch = kpi_chan_new(vss_guid);
	device_t dev;
	int error;

	(void)state;
	kpi_disable(VSSG_NAME);
	dev = kpi_device_add(kpi_bus("vmbus"), ch, &error);
	kpi_disable(NULL);
	assert_int_equal(error, ENXIO);
	kpi_device_remove(dev);
	kpi_chan_free(ch);
}

/* Offers the channel anew; whether the base system's driver is spoken of. */
static bool
attach_beside_base(void)
{
	kpi_log_clear();
	channel_offer();
	return (kpi_log_has("in place of the base system's driver"));
}

static void
it_says_that_it_has_the_channel_of_the_base_systems_driver(void **state)
{
	(void)state;
	assert_int_equal(kpi_module_load(), 0);
	assert_true(attach_beside_base());
	channel_gone();
	kpi_disable(VSSG_BASE);
	assert_false(attach_beside_base());
	kpi_disable(NULL);
}

static void
a_channel_that_does_not_open_leaves_nothing(void **state)
{
	struct vmbus_channel *ch = kpi_chan_new(vss_guid);
	device_t dev;
	int error;

	(void)state;
	assert_int_equal(kpi_module_load(), 0);
	kpi_chan_fail_open(ch, ENXIO);
	dev = kpi_device_add(kpi_bus("vmbus"), ch, &error);
	assert_int_equal(error, ENXIO);
	assert_false(kpi_cdev_exists(FS));
	kpi_device_remove(dev);
	kpi_chan_free(ch);
}

static void
what_the_host_sends_at_once_is_answered(void **state)
{
	uint8_t pkt[VSS_WIRE_MIN_LEN];
	int error;

	(void)state;
	assert_int_equal(kpi_module_load(), 0);
	chan = kpi_chan_new(vss_guid);
	kpi_chan_send_first(chan, pkt, packet(pkt, VSS_WIRE_GET_DM_INFO));
	vdev = kpi_device_add(kpi_bus("vmbus"), chan, &error);
	assert_int_equal(error, 0);
	assert_int_equal(reply_to(1, WAIT_MS), VMBUS_ICMSG_S_OK);
}

static void
the_longest_message_comes_through(void **state)
{
	static uint8_t pkt[VMBUS_ICMSG_PKT_MAX];

	(void)state;
	packet(pkt, VSS_WIRE_GET_DM_INFO);
	vmbus_icmsg_put32(
	    pkt + VMBUS_ICMSG_O_PIPE_SIZE, sizeof(pkt) - VMBUS_ICMSG_PIPE_LEN);
	assert_int_equal(kpi_host_send(chan, VMBUS_RING_INBAND, ++last_xactid,
			     pkt, sizeof(pkt)),
	    0);
	assert_int_equal(reply(), VMBUS_ICMSG_S_OK);
}

static void
what_is_too_long_or_of_another_type_is_skipped(void **state)
{
	static uint8_t pkt[VMBUS_ICMSG_PKT_MAX + 8];
	uint32_t len;

	(void)state;
	assert_int_equal(
	    kpi_host_send(chan, VMBUS_RING_INBAND, 7, pkt, sizeof(pkt)), 0);
	kpi_host_settle(chan);
	/* In-band it would be answered. */
	len = packet(pkt, VSS_WIRE_GET_DM_INFO);
	assert_int_equal(
	    kpi_host_send(chan, VMBUS_RING_COMPLETION, 8, pkt, len), 0);
	assert_int_equal(reply_to(8, NOTHING_MS), NOREPLY);
	ask(VSS_WIRE_GET_DM_INFO);
	assert_int_equal(reply(), VMBUS_ICMSG_S_OK);
	assert_int_equal(kpi_sysctl_u64(vdev, "dropped"), 2);
}

/*
 * Writes a descriptor where the guest of a new channel reads first, and moves
 * the write index.
 */
static void
spoil(uint16_t hlen, uint16_t tlen, uint32_t in)
{
	struct vmbus_chanpkt_hdr ph = { VMBUS_CHANPKT_TYPE_INBAND, hlen, tlen,
		0, 1 };
	uint8_t *ring;
	uint32_t len;

	ring = kpi_host_ring(chan, &len);
	memcpy(ring + VMBUS_RING_PAGE, &ph, sizeof(ph));
	vss_port_store32(ring + VMBUS_RING_O_IN, in);
	kpi_host_signal(chan);
	kpi_host_settle(chan);
}

static void
a_corrupt_ring_ends_the_channel_and_nothing_else(void **state)
{
	static const struct {
		uint16_t hlen, tlen;
		uint32_t in;
	} bad[] = {
		{ 1, 3, 32 },	       /* the header is in itself */
		{ 4, 3, 48 },	       /* longer than the packet */
		{ 4, 3, 32 },	       /* the same, and nothing behind it */
		{ 2, 7, 48 },	       /* the packet longer than the ring */
		{ 2, 65535, 48 },      /* very much */
		{ 2, 5, 8 },	       /* less than a descriptor */
		{ 2, 5, 0x80000000U }, /* an index outside */
		{ 2, 5, 0xfffffff8U },
		{ 2, 5, 1000000 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < nitems(bad); i++) {
		spoil(bad[i].hlen, bad[i].tlen, bad[i].in);
		kpi_taskqueues_settle();
		assert_true(kpi_log_has("broke the channel's rules"));
		kpi_log_clear();
		assert_int_equal(kpi_sysctl_u64(vdev, "channel"), 0);
		assert_int_equal(kpi_sysctl_u64(vdev, "dropped"), 0);
		/* Nothing more is read from it. */
		spoil(2, 5, 48);
		kpi_chan_revoke(chan);
		channel_gone();
		channel_offer();
		freeze();
		thaw();
		kpi_chan_revoke(chan);
		channel_gone();
		channel_offer();
	}
}

static void
corruption_while_holding_is_undone(void **state)
{
	uint8_t *ring;
	uint32_t len;

	(void)state;
	freeze();
	ring = kpi_host_ring(chan, &len);
	vss_port_store32(ring + VMBUS_RING_O_IN, 0xfffffff0U);
	kpi_host_signal(chan);
	serve(&fs, HV_VSS_THAW, VSS_SUCCESS);
	serve(&app, HV_VSS_THAW, VSS_SUCCESS);
	assert_int_equal(kpi_sysctl_u64(vdev, "lost"), 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(another_class_is_not_ours),
		CASE(a_hint_switches_it_off),
		cmocka_unit_test_teardown(
		    it_says_that_it_has_the_channel_of_the_base_systems_driver,
		    close_all),
		cmocka_unit_test_teardown(
		    a_channel_that_does_not_open_leaves_nothing, close_all),
		cmocka_unit_test_teardown(
		    what_the_host_sends_at_once_is_answered, close_all),
		CASE(the_longest_message_comes_through),
		CASE(what_is_too_long_or_of_another_type_is_skipped),
		CASE(a_corrupt_ring_ends_the_channel_and_nothing_else),
		CASE(corruption_while_holding_is_undone),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
