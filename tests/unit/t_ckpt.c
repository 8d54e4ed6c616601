/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* A checkpoint's words, and its JSON with file systems of odd names. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ckpt.h"

static struct ckpt ck, copy;
static struct ckpt_fs fs[2];
static char text[32768], again[32768];

static void
every_cause_has_a_name_of_its_own(void **state)
{
	char a[32], b[32];

	(void)state;
	for (uint32_t i = 0; i < VSS_ENGINE_NCAUSES; i++) {
		ckpt_cause_name(i, a, sizeof(a));
		assert_string_not_equal(a, "unknown");
		assert_int_equal(
		    strspn(a, "abcdefghijklmnopqrstuvwxyz-"), strlen(a));
		for (uint32_t j = 0; j < i; j++) {
			ckpt_cause_name(j, b, sizeof(b));
			assert_string_not_equal(a, b);
		}
	}
	ckpt_cause_name(VSS_ENGINE_NCAUSES, a, sizeof(a));
	assert_string_equal(a, "unknown");
}

static void
a_reason_says_who_why_in_whose_words_and_what_to_do(void **state)
{
	struct vss_engine_reason er = { .er_cause = VSS_ENGINE_CAUSE_SILENT,
		.er_client = 1,
		.er_kind = VSS_ENGINE_APP,
		.er_op = VSS_ENGINE_FREEZE,
		.er_pid = 77,
		.er_name = "shop",
		.er_text = "busy" };

	(void)state;
	ckpt_reason(&er, text, sizeof(text));
	assert_string_equal(text,
	    "application shop (pid 77), asked to freeze, did not answer in "
	    "time: \"busy\"; see that it runs and is not stopped; its limit is "
	    "a setting, and so is apps=besteffort");
	er.er_kind = VSS_ENGINE_FS;
	ckpt_reason(&er, text, sizeof(text));
	assert_null(strstr(text, "besteffort"));
	/* One that was asked nothing when it closed. */
	er.er_cause = VSS_ENGINE_CAUSE_CLOSED;
	er.er_op = VSS_ENGINE_NONE;
	er.er_text[0] = '\0';
	ckpt_reason(&er, text, sizeof(text));
	assert_string_equal(text,
	    "the freeze daemon shop (pid 77) closed the device before it "
	    "answered; it ended or was killed: see its log");
	memset(&er, 0, sizeof(er));
	er.er_cause = VSS_ENGINE_CAUSE_NO_DAEMON;
	ckpt_reason(&er, text, sizeof(text));
	assert_string_equal(text,
	    "no freeze daemon has the file-system device open; start "
	    "hv_vss_daemon");
	/* However long it is. */
	memset(er.er_text, 'x', sizeof(er.er_text) - 1);
	ckpt_reason(&er, text, 20);
	assert_int_equal(strlen(text), 19);
}

static void
consistency_is_what_a_success_had(void **state)
{
	(void)state;
	memset(&ck, 0, sizeof(ck));
	assert_string_equal(ckpt_consistency(&ck), "file-system");
	ck.ck_napps = 2;
	assert_string_equal(ckpt_consistency(&ck), "application");
	ck.ck_nstale = 1;
	assert_string_equal(ckpt_consistency(&ck), "file-system");
	ck.ck_outcome = CKPT_LOST;
	assert_string_equal(ckpt_consistency(&ck), "none");
}

static void
file_systems_are_read_back_odd_names_and_all(void **state)
{
	struct json_out jo;

	(void)state;
	memset(&ck, 0, sizeof(ck));
	ck.ck_id = 9;
	ck.ck_seq = 3;
	ck.ck_begin_ns = 1000000000;
	ck.ck_end_ns = 3000000000;
	ck.ck_fs = fs;
	ck.ck_nfs = 2;
	strcpy(fs[0].cf_point, "/a \"b\\\xc3\xa4");
	strcpy(fs[0].cf_type, "ext4");
	fs[0].cf_frozen = true;
	fs[0].cf_level = 4;
	fs[0].cf_errno = EBUSY;
	fs[0].cf_failed = CKPT_FS_FREEZE;
	fs[0].cf_spans[CKPT_FS_FREEZE] = (struct ckpt_span) {
		.cp_begin_ns = 1500000000,
		.cp_end_ns = 1500001000,
		.cp_result = CKPT_R_FAILED
	};
	strcpy(fs[1].cf_point, "/dos");
	json_out_init(&jo, text, sizeof(text));
	ckpt_json(&jo, &ck);
	assert_false(jo.jo_full);
	assert_true(jo.jo_len < ckpt_json_max(&ck));
	assert_non_null(strstr(text, "\"error\":\"Device or resource busy\""));
	assert_true(ckpt_parse(&copy, text, jo.jo_len));
	assert_int_equal(copy.ck_nfs, 2);
	assert_string_equal(copy.ck_fs[0].cf_point, fs[0].cf_point);
	assert_int_equal(copy.ck_fs[0].cf_errno, EBUSY);
	assert_int_equal(copy.ck_fs[0].cf_level, 4);
	assert_memory_equal(
	    copy.ck_fs[0].cf_spans, fs[0].cf_spans, sizeof(fs[0].cf_spans));
	assert_false(copy.ck_fs[1].cf_frozen);
	json_out_init(&jo, again, sizeof(again));
	ckpt_json(&jo, &copy);
	assert_string_equal(text, again);
	ckpt_free(&copy);
}

static void
members_of_another_kind_harm_nobody(void **state)
{
	static const char odd[] =
	    "{\"seq\":\"x\",\"outcome\":[],\"clients\":{\"a\":1},"
	    "\"file_systems\":[1,null,{}],\"host\":7,\"stages\":[{}],"
	    "\"reason\":{\"cause\":1},\"ms\":-1,\"time_ms\":1e99}";

	(void)state;
	assert_true(ckpt_parse(&copy, odd, strlen(odd)));
	assert_int_equal(copy.ck_nclients, 0);
	assert_int_equal(copy.ck_nfs, 3);
	/* What is not understood is no success. */
	assert_int_equal(copy.ck_outcome, CKPT_FAILED);
	ckpt_free(&copy);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test(name)
		T(every_cause_has_a_name_of_its_own),
		T(a_reason_says_who_why_in_whose_words_and_what_to_do),
		T(consistency_is_what_a_success_had),
		T(file_systems_are_read_back_odd_names_and_all),
		T(members_of_another_kind_harm_nobody),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
