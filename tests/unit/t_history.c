/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* The history: appended to, read, torn, full, and where it cannot be. */

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "history.h"
#include "scratch.h"

static char dir[SCRATCH_LEN], file[PATH_MAX], old[PATH_MAX];
static char err[256];
static struct ckpt cks[3];
static uint64_t ids[64];
static size_t nids, torn;

static int
set_up(void **state)
{
	(void)state;
	if (scratch_make(dir, "history") != 0)
		return (-1);
	snprintf(file, sizeof(file), "%s/" HISTORY_FILE, dir);
	snprintf(old, sizeof(old), "%s/" HISTORY_OLD, dir);
	memset(cks, 0, sizeof(cks));
	for (size_t i = 0; i < VSS_NELEM(cks); i++) {
		cks[i].ck_run = 42;
		cks[i].ck_seq = i + 1;
		cks[i].ck_begin_ns = 1;
		cks[i].ck_end_ns = 2;
	}
	return (0);
}

static int
tear_down(void **state)
{
	(void)state;
	(void)unlink(file);
	(void)unlink(old);
	return (rmdir(dir));
}

static bool
each(void *arg, struct ckpt *ck, const char *line)
{
	assert_ptr_equal(arg, ids);
	assert_int_equal(line[0], '{');
	ids[nids++ % VSS_NELEM(ids)] = ck->ck_id;
	return (true);
}

static void
read_all(void)
{
	nids = 0;
	assert_int_equal(
	    history_read(dir, each, ids, &torn, err, sizeof(err)), 0);
}

static void
append(size_t from, size_t n)
{
	assert_int_equal(
	    history_append(dir, cks + from, n, err, sizeof(err)), 0);
}

static void
put(const char *text)
{
	int fd = open(file, O_WRONLY | O_APPEND);

	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	(void)close(fd);
}

static void
a_line_that_would_be_too_long_does_not_end_the_history(void **state)
{
	struct ckpt *ck = &cks[0];

	(void)state;
	ck->ck_nfs = 1024;
	ck->ck_fs = calloc(ck->ck_nfs, sizeof(*ck->ck_fs));
	assert_non_null(ck->ck_fs);
	for (uint32_t i = 0; i < ck->ck_nfs; i++)
		memset(ck->ck_fs[i].cf_point, 'x', CKPT_POINT_MAX - 1);
	append(0, 2);
	assert_int_equal(ck->ck_fs_left, 1024);
	free(ck->ck_fs);
	read_all();
	assert_int_equal(nids, 2);
	assert_int_equal(torn, 0);
}

static void
ids_count_up_and_nothing_is_written_twice(void **state)
{
	(void)state;
	append(0, 2);
	assert_int_equal(cks[0].ck_id, 1);
	assert_int_equal(cks[1].ck_id, 2);
	append(0, 3);
	assert_int_equal(cks[1].ck_id, 0);
	assert_int_equal(cks[2].ck_id, 3);
	append(0, 3);
	read_all();
	assert_int_equal(nids, 3);
	assert_int_equal(ids[2], 3);
	/* Another start of the driver counts anew. */
	cks[0].ck_run = 43;
	append(0, 1);
	assert_int_equal(cks[0].ck_id, 4);
}

static void
a_torn_line_is_ended_and_counted(void **state)
{
	(void)state;
	append(0, 1);
	put("{\"id\":2,\"ru");
	append(1, 1);
	put("not JSON\n{}\n\n");
	append(2, 1);
	read_all();
	assert_int_equal(nids, 3);
	assert_int_equal(ids[1], 2);
	assert_int_equal(torn, 3);
}

static void
a_full_file_is_put_aside_and_is_still_read(void **state)
{
	struct stat st;
	char *much = malloc(HISTORY_MAX);

	(void)state;
	append(0, 1);
	memset(much, '\n', HISTORY_MAX - 1);
	much[HISTORY_MAX - 1] = '\0';
	put(much);
	free(much);
	append(1, 1);
	assert_int_equal(stat(old, &st), 0);
	assert_int_equal(stat(file, &st), 0);
	assert_true(st.st_size < 4096);
	read_all();
	assert_int_equal(nids, 2);
	assert_int_equal(ids[0], 1);
	assert_int_equal(ids[1], 2);
}

static void
what_is_not_there_is_empty_and_what_cannot_be_is_said(void **state)
{
	(void)state;
	read_all();
	assert_int_equal(nids, 0);
	assert_int_equal(
	    history_append("/proc/nowhere", cks, 1, err, sizeof(err)), ENOENT);
	assert_non_null(strstr(err, "/proc/nowhere/history.jsonl: cannot"));
	assert_non_null(strstr(err, "state_dir"));
}

static void
a_link_is_not_followed(void **state)
{
	(void)state;
	assert_int_equal(symlink("/dev/null", file), 0);
	assert_int_equal(history_append(dir, cks, 1, err, sizeof(err)), ELOOP);
}

static void
a_fifo_in_its_place_is_not_waited_for(void **state)
{
	(void)state;
	assert_int_equal(mkfifo(file, 0600), 0);
	read_all();
	assert_int_equal(nids, 0);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		T(a_line_that_would_be_too_long_does_not_end_the_history),
		T(ids_count_up_and_nothing_is_written_twice),
		T(a_torn_line_is_ended_and_counted),
		T(a_full_file_is_put_aside_and_is_still_read),
		T(what_is_not_there_is_empty_and_what_cannot_be_is_said),
		T(a_link_is_not_followed),
		T(a_fifo_in_its_place_is_not_waited_for),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
