/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* JSON: written as it should be, read back, and what is none refused. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "json.h"

static char buf[512];
static struct json_out jo;
static struct json_doc jd;

static int
set_up(void **state)
{
	(void)state;
	memset(buf, 'x', sizeof(buf));
	json_out_init(&jo, buf, sizeof(buf));
	return (0);
}

static int
tear_down(void **state)
{
	(void)state;
	json_free(&jd);
	return (0);
}

static const struct json_value *
parse(const char *text)
{
	json_free(&jd);
	return (json_parse(&jd, text, strlen(text)) == 0 ? jd.jd_values : NULL);
}

static void
members_and_elements_are_separated(void **state)
{
	(void)state;
	json_open(&jo, NULL, '{');
	json_number(&jo, "n", 18446744073709551615ULL);
	json_open(&jo, "a", '[');
	json_bool(&jo, NULL, true);
	json_text(&jo, NULL, NULL);
	json_open(&jo, NULL, '{');
	json_close(&jo, '}');
	json_close(&jo, ']');
	json_ms(&jo, "ms", 1234567891);
	json_raw(&jo, "r", "[1]");
	json_close(&jo, '}');
	assert_string_equal(buf,
	    "{\"n\":18446744073709551615,\"a\":[true,null,{}],"
	    "\"ms\":1234.567,\"r\":[1]}");
	assert_false(jo.jo_full);
}

static void
any_bytes_become_a_string(void **state)
{
	(void)state;
	json_text(&jo, NULL, "a\"\\\n\x7f\xc3\xa4\xff\xed\xa0\x80z");
	assert_string_equal(buf,
	    "\"a\\\"\\\\\\u000a\\u007f\xc3\xa4\\ufffd\\ufffd\\ufffd\\ufffdz\"");
	assert_non_null(parse(buf));
}

static void
what_does_not_fit_is_left_out(void **state)
{
	char small[8];

	(void)state;
	json_out_init(&jo, small, sizeof(small));
	json_text(&jo, NULL, "12345");
	assert_false(jo.jo_full);
	assert_string_equal(small, "\"12345\"");
	json_out_init(&jo, small, sizeof(small));
	json_text(&jo, NULL, "123456");
	assert_true(jo.jo_full);
	assert_true(strlen(small) < sizeof(small));
}

static void
members_are_found_at_any_depth(void **state)
{
	const struct json_value *jv, *list, *at;
	char text[16];

	(void)state;
	jv = parse(" {\"a\":[1,{\"b\":2},[3,4]],\"b\":\"x\\u00e4\\ty\",\n"
		   "\"c\":true,\"d\":null,\"e\":-1,\"f\":12.3456} ");
	assert_non_null(jv);
	list = json_get(jv, "a");
	at = json_first(list);
	assert_int_equal(json_whole(at), 1);
	at = json_next(list, at);
	assert_int_equal(json_whole(json_get(at, "b")), 2);
	at = json_next(list, at);
	assert_int_equal(json_whole(json_first(at)), 3);
	assert_null(json_next(list, at));
	json_copy(json_get(jv, "b"), text, sizeof(text));
	assert_string_equal(text, "x\xc3\xa4 y");
	assert_true(json_true(json_get(jv, "c")));
	assert_false(json_true(json_get(jv, "d")));
	assert_int_equal(json_whole(json_get(jv, "e")), 0);
	assert_int_equal(json_ns(json_get(jv, "f")), 12345600);
	assert_null(json_get(jv, "g"));
	assert_null(json_get(json_get(jv, "b"), "g"));
	assert_null(json_first(json_get(jv, "b")));
}

static void
a_copy_is_cut_and_controls_no_terminal(void **state)
{
	const struct json_value *jv;
	char text[6], wide[16];

	(void)state;
	jv = parse("\"\\u001b[2J123456789\"");
	json_copy(jv, text, sizeof(text));
	assert_string_equal(text, "?[");
	jv = parse("\"\\u009b\xc2\x9b\xff\"");
	json_copy(jv, wide, sizeof(wide));
	assert_string_equal(wide, "??\xef\xbf\xbd");
	json_copy(NULL, text, sizeof(text));
	assert_string_equal(text, "");
}

static void
what_is_no_json_is_refused(void **state)
{
	static const char *const bad[] = { "", "{", "}", "[1,]", "[1",
		"{\"a\"}", "{\"a\":}", "{a:1}", "\"a", "\"\\", "\"a\nb\"",
		"nul", "truex", "[1 2]", "1 2", "{\"a\":1,}", "[\"a\":1]", ",",
		"+1", "\x01" };
	char deep[64];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(
		    json_parse(&jd, bad[i], strlen(bad[i])), EINVAL);
		json_free(&jd);
	}
	memset(deep, '[', sizeof(deep));
	memset(deep + 32, ']', 32);
	deep[63] = '\0';
	assert_null(parse(deep));
	memset(deep, '[', JSON_DEPTH_MAX);
	memset(deep + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
	deep[2 * JSON_DEPTH_MAX] = '\0';
	assert_non_null(parse(deep));
}

static void
a_whole_document_cut_anywhere_is_refused(void **state)
{
	static const char whole[] =
	    "{\"a\":[1,2.5,{\"b\":\"\\u0041\"}],\"c\":false}";
	char cut[sizeof(whole)];

	(void)state;
	assert_non_null(parse(whole));
	for (size_t len = 0; len < strlen(whole); len++) {
		memcpy(cut, whole, len);
		cut[len] = '\0';
		assert_null(parse(cut));
	}
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		T(members_and_elements_are_separated),
		T(any_bytes_become_a_string),
		T(what_does_not_fit_is_left_out),
		T(members_are_found_at_any_depth),
		T(a_copy_is_cut_and_controls_no_terminal),
		T(what_is_no_json_is_refused),
		T(a_whole_document_cut_anywhere_is_refused),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
