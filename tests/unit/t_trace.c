/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* Unit tests of core/trace.c. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "trace.h"

static struct vss_trace_event
event(uint64_t ns)
{
	struct vss_trace_event te;

	memset(&te, 0, sizeof(te));
	te.te_ns = ns;
	te.te_id = ns + 1000;
	te.te_kind = VSS_TRACE_STATE;
	return (te);
}

static void
an_empty_trace_gives_nothing(void **state)
{
	struct vss_trace_event store[4], te;
	struct vss_trace tr;

	(void)state;
	vss_trace_init(&tr, store, 4);
	assert_false(vss_trace_get(&tr, &te));
	assert_int_equal(tr.tr_lost, 0);
}

static void
events_come_out_in_the_order_they_went_in(void **state)
{
	struct vss_trace_event store[4], te;
	struct vss_trace tr;
	uint64_t in, out;

	(void)state;
	vss_trace_init(&tr, store, 4);
	for (in = out = 0; in < 20;) {
		te = event(in++);
		vss_trace_put(&tr, &te);
		te = event(in++);
		vss_trace_put(&tr, &te);
		for (; out < in; out++) {
			assert_true(vss_trace_get(&tr, &te));
			assert_int_equal(te.te_ns, out);
			assert_int_equal(te.te_id, out + 1000);
			assert_int_equal(te.te_kind, VSS_TRACE_STATE);
		}
	}
	assert_false(vss_trace_get(&tr, &te));
	assert_int_equal(tr.tr_lost, 0);
}

static void
a_full_trace_loses_its_oldest_and_counts_them(void **state)
{
	struct vss_trace_event store[3], te;
	struct vss_trace tr;
	uint64_t i;

	(void)state;
	vss_trace_init(&tr, store, 3);
	for (i = 0; i < 10; i++) {
		te = event(i);
		vss_trace_put(&tr, &te);
	}
	assert_int_equal(tr.tr_lost, 7);
	assert_int_equal(tr.tr_count, 3);
	for (i = 7; i < 10; i++) {
		assert_true(vss_trace_get(&tr, &te));
		assert_int_equal(te.te_ns, i);
	}
	assert_false(vss_trace_get(&tr, &te));
}

static void
a_trace_of_one_event_keeps_the_last(void **state)
{
	struct vss_trace_event store[1], te;
	struct vss_trace tr;

	(void)state;
	vss_trace_init(&tr, store, 1);
	te = event(1);
	vss_trace_put(&tr, &te);
	te = event(2);
	vss_trace_put(&tr, &te);
	assert_true(vss_trace_get(&tr, &te));
	assert_int_equal(te.te_ns, 2);
	assert_false(vss_trace_get(&tr, &te));
	assert_int_equal(tr.tr_lost, 1);
}

static void
every_kind_has_a_name_and_others_are_unknown(void **state)
{
	uint32_t i;

	(void)state;
	for (i = 0; i < VSS_TRACE_NKINDS; i++) {
		assert_non_null(vss_trace_kind_name((uint8_t)i));
		assert_string_not_equal(
		    vss_trace_kind_name((uint8_t)i), "unknown");
	}
	assert_string_equal(
	    vss_trace_kind_name(VSS_TRACE_TURNED_AWAY), "turned-away");
	for (; i < 256; i++)
		assert_string_equal(vss_trace_kind_name((uint8_t)i), "unknown");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_trace_gives_nothing),
		cmocka_unit_test(events_come_out_in_the_order_they_went_in),
		cmocka_unit_test(a_full_trace_loses_its_oldest_and_counts_them),
		cmocka_unit_test(a_trace_of_one_event_keeps_the_last),
		cmocka_unit_test(every_kind_has_a_name_and_others_are_unknown),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
