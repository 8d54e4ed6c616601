/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* GUIDs between text and wire. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "guid.h"

/* Of PROTOCOL.md section 10.20: the SCSI controller of an example. */
static const char text[] = "f8b3781a-1e82-4818-a1c3-63d806ec15bb";
static const uint8_t wire[GUID_LEN] = { 0x1a, 0x78, 0xb3, 0xf8, 0x82, 0x1e,
	0x18, 0x48, 0xa1, 0xc3, 0x63, 0xd8, 0x06, 0xec, 0x15, 0xbb };

static void
text_and_wire_are_the_same_guid(void **state)
{
	uint8_t guid[GUID_LEN];
	char back[GUID_TEXT];

	(void)state;
	assert_true(guid_parse(text, guid));
	assert_memory_equal(guid, wire, sizeof(wire));
	guid_print(wire, back);
	assert_string_equal(back, text);
}

static void
braces_and_capitals_are_read(void **state)
{
	uint8_t guid[GUID_LEN];

	(void)state;
	assert_true(guid_parse("{F8B3781A-1E82-4818-A1C3-63D806EC15BB}", guid));
	assert_memory_equal(guid, wire, sizeof(wire));
}

static void
anything_else_is_refused_and_changes_nothing(void **state)
{
	static const char *const bad[] = { "", "{}", "f8b3781a",
		"f8b3781a-1e82-4818-a1c3-63d806ec15b",
		"f8b3781a-1e82-4818-a1c3-63d806ec15bbb",
		"f8b3781a1e824818a1c363d806ec15bb",
		"f8b3781a-1e82-4818-a1c3-63d806ec15b ",
		"f8b3781a-1e82-4818-a1c3-63d806ec15 b",
		"f8b3781a-1e82-4818-a1c3+63d806ec15bb",
		"g8b3781a-1e82-4818-a1c3-63d806ec15bb",
		"0xb3781a-1e82-4818-a1c3-63d806ec15bb",
		"{f8b3781a-1e82-4818-a1c3-63d806ec15bb",
		"f8b3781a-1e82-4818-a1c3-63d806ec15bb}" };
	uint8_t guid[GUID_LEN], before[GUID_LEN];

	(void)state;
	memset(guid, 0x5a, sizeof(guid));
	memset(before, 0x5a, sizeof(before));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_false(guid_parse(bad[i], guid));
		assert_memory_equal(guid, before, sizeof(guid));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_and_wire_are_the_same_guid),
		cmocka_unit_test(braces_and_capitals_are_read),
		cmocka_unit_test(anything_else_is_refused_and_changes_nothing),
	};

	return (cmocka_run_group_tests_name("guid", tests, NULL, NULL));
}
