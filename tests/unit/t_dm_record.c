/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* The record of what may be frozen: written, read again, and damaged. */

#include <sys/mman.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "dm.h"
#include "scratch.h"

static struct dm dm;
static struct dm_record rec;

/* Three file systems, of which one was frozen by somebody else. */
static int
set_up(void **state)
{
	static const char *const point[] = { "/srv", "/a b\n\\c\t\303\244",
		"/other" };
	uint32_t i;

	(void)state;
	memset(&dm, 0, sizeof(dm));
	dm.dm_record = memfd_create("record", MFD_CLOEXEC);
	if (dm.dm_record == -1 ||
	    frz_page_create(&dm.dm_page_fd, &dm.dm_page) != 0)
		return (-1);
	dm.dm_helper[DM_WORKER].dh_pid = getpid();
	dm.dm_helper[DM_WORKER].dh_child = true;
	dm.dm_txn.tx_nfs = 3;
	for (i = 0; i < 3; i++) {
		dm.dm_txn.tx_fs[i].df_point = point[i];
		dm.dm_txn.tx_fs[i].df_major = 7;
		dm.dm_txn.tx_fs[i].df_minor = i;
	}
	atomic_store(&dm.dm_page->pg_slots[2].fs_state, FRZ_NOT_OURS);
	return (0);
}

static int
tear_down(void **state)
{
	(void)state;
	(void)close(dm.dm_record);
	(void)close(dm.dm_page_fd);
	frz_page_unmap(dm.dm_page);
	return (0);
}

static void
put(const char *text)
{
	size_t len = strlen(text);

	assert_int_equal(ftruncate(dm.dm_record, 0), 0);
	assert_int_equal(pwrite(dm.dm_record, text, len, 0), (ssize_t)len);
}

static void
what_is_written_is_read_again_odd_names_and_all(void **state)
{
	(void)state;
	assert_int_equal(dm_record_write(&dm), 0);
	assert_true(dm_record_read(&dm, &rec));
	assert_int_equal(rec.rc_nfs, 2);
	assert_string_equal(rec.rc_fs[0].rf_point, "/srv");
	assert_string_equal(rec.rc_fs[1].rf_point, "/a b\n\\c\t\303\244");
	assert_int_equal(rec.rc_fs[1].rf_major, 7);
	assert_int_equal(rec.rc_fs[1].rf_minor, 1);
	assert_int_equal(rec.rc_pid[DM_WORKER], getpid());
}

static void
what_is_only_flushed_is_not_in_it(void **state)
{
	(void)state;
	dm.dm_txn.tx_fs[0].df_flags = FRZ_F_SYNC_ONLY;
	assert_int_equal(dm_record_write(&dm), 0);
	assert_true(dm_record_read(&dm, &rec));
	assert_int_equal(rec.rc_nfs, 1);
	assert_int_equal(rec.rc_fs[0].rf_minor, 1);
}

static void
a_shorter_one_leaves_nothing_of_a_longer_one(void **state)
{
	(void)state;
	assert_int_equal(dm_record_write(&dm), 0);
	dm.dm_txn.tx_nfs = 1;
	assert_int_equal(dm_record_write(&dm), 0);
	assert_true(dm_record_read(&dm, &rec));
	assert_int_equal(rec.rc_nfs, 1);
}

static void
an_emptied_one_names_nothing(void **state)
{
	(void)state;
	assert_int_equal(dm_record_write(&dm), 0);
	dm_record_clear(&dm);
	assert_false(dm_record_read(&dm, &rec));
}

static void
one_on_a_disk_is_refused(void **state)
{
	int fds[2];

	(void)state;
	(void)close(dm.dm_record);
	assert_int_equal(pipe(fds), 0);
	dm.dm_record = fds[1];
	assert_int_equal(dm_record_write(&dm), ENOTSUP);
	(void)close(fds[0]);
}

static void
one_of_another_boot_or_form_is_ignored(void **state)
{
	static const char *const other[] = {
		"",
		"\n",
		"hv_vss frozen 2\nboot x\nfs 7:0 ours /srv\n",
		"hv_vss frozen 1\n",
		"hv_vss frozen 1\nboot\nfs 7:0 ours /srv\n",
		"hv_vss frozen 1\nboot 0-0\nfs 7:0 ours /srv\n",
		"fs 7:0 ours /srv\n",
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(other) / sizeof(other[0]); i++) {
		put(other[i]);
		assert_false(dm_record_read(&dm, &rec));
	}
	/* Of this boot, and right in all but its form. */
	dm_record_clear(&dm);
	assert_int_equal(dm_record_write(&dm), 0);
	assert_true(dm_record_read(&dm, &rec));
	assert_int_equal(pwrite(dm.dm_record, "hv_vss frozen 2", 15, 0), 15);
	assert_false(dm_record_read(&dm, &rec));
}

static void
lines_beyond_what_can_be_frozen_are_left_out(void **state)
{
	static const char one[] = "fs 7:1 ours /x\n";
	uint32_t i;

	(void)state;
	dm.dm_txn.tx_nfs = 0;
	assert_int_equal(dm_record_write(&dm), 0);
	(void)lseek(dm.dm_record, 0, SEEK_END);
	for (i = 0; i < FRZ_FS_MAX + 3; i++)
		assert_int_equal(
		    write(dm.dm_record, one, sizeof(one) - 1), sizeof(one) - 1);
	assert_true(dm_record_read(&dm, &rec));
	assert_int_equal(rec.rc_nfs, FRZ_FS_MAX);
}

/* The right head, with lines that were damaged. */
static void
damaged_lines_are_left_out(void **state)
{
	static const char tail[] = "worker x 1\nfs 7 ours /a\nfs 7:1 ours\n"
				   "fs 7:1 ours /b\\9\nfs 7:1 ours /b\\000\n"
				   "fs 7:1 ours /b\\081\nfs 7:1 ours /b\\018\n"
				   "fs 7:1 ours /b\\0/1\nfs 7:1 ours /b\\01/\n"
				   "fs 7:1 ours /b\\401\nfs 7:1 ours /b\\/01\n"
				   "junk\nfs 7:1 ours /good\n";
	off_t end;
	size_t len = sizeof(tail) - 1;

	(void)state;
	dm.dm_txn.tx_nfs = 0;
	assert_int_equal(dm_record_write(&dm), 0);
	end = lseek(dm.dm_record, 0, SEEK_END);
	assert_int_equal(pwrite(dm.dm_record, tail, len, end), (ssize_t)len);
	assert_true(dm_record_read(&dm, &rec));
	assert_int_equal(rec.rc_nfs, 1);
	assert_string_equal(rec.rc_fs[0].rf_point, "/good");
}

static void
a_process_is_known_by_number_and_start(void **state)
{
	int pidfd;

	(void)state;
	assert_int_equal(dm_record_write(&dm), 0);
	assert_true(dm_record_read(&dm, &rec));
	pidfd = dm_record_helper(&rec, DM_WORKER);
	assert_true(pidfd != -1);
	(void)close(pidfd);
	assert_int_equal(dm_record_helper(&rec, DM_GUARD), -1);
	rec.rc_start[DM_WORKER]++;
	assert_int_equal(dm_record_helper(&rec, DM_WORKER), -1);
	rec.rc_pid[DM_WORKER] = 1;
	assert_int_equal(dm_record_helper(&rec, DM_WORKER), -1);
}

static void
a_record_is_kept_where_it_is_looked_for(const char *path)
{
	struct stat before, after;

	assert_int_equal(stat(path, &before), 0);
	assert_int_equal(dm_record_open(&dm), 0);
	assert_int_equal(fstat(dm.dm_record, &after), 0);
	assert_true(before.st_ino == after.st_ino);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(dm_record_open(&dm), 0);
	assert_int_equal(stat(path, &before), 0);
	assert_int_equal(fstat(dm.dm_record, &after), 0);
	assert_true(before.st_ino == after.st_ino);
}

/* Lock and record in a directory of their own. */
static void
a_directory_has_one_lock_and_one_record(void **state)
{
	static struct dm other;
	char dir[SCRATCH_LEN], run[SCRATCH_LEN + 8], path[SCRATCH_LEN + 16];

	(void)state;
	assert_int_equal(scratch_make(dir, "t_dm_record"), 0);
	(void)snprintf(run, sizeof(run), "%s/run", dir);
	dm.dm_conf.cf_run_dir = other.dm_conf.cf_run_dir = run;
	assert_int_equal(dm_record_lock(&dm), 0);
	assert_int_equal(dm_record_lock(&other), EWOULDBLOCK);
	(void)close(dm.dm_record);
	assert_int_equal(dm_record_open(&dm), 0);
	assert_true(dm.dm_record != -1);
	(void)snprintf(path, sizeof(path), "%s/lock", run);
	assert_int_equal(access(path, F_OK), 0);
	(void)snprintf(path, sizeof(path), "%s/frozen", run);
	assert_int_equal(access(path, F_OK), 0);
	a_record_is_kept_where_it_is_looked_for(path);
	(void)close(other.dm_lock);
	(void)close(dm.dm_lock);
	/* Its end lets the next one have it. */
	assert_int_equal(dm_record_lock(&other), 0);
	(void)close(other.dm_lock);
	scratch_remove(dir);
}

/* Its lock was removed with the record, and somebody else has the new one. */
static void
who_has_lost_the_lock_gets_no_record_however_often(void **state)
{
	static struct dm other;
	char dir[SCRATCH_LEN], path[SCRATCH_LEN + 16];

	(void)state;
	assert_int_equal(scratch_make(dir, "t_dm_record"), 0);
	dm.dm_conf.cf_run_dir = other.dm_conf.cf_run_dir = dir;
	assert_int_equal(dm_record_lock(&dm), 0);
	assert_int_equal(dm_record_open(&dm), 0);
	(void)snprintf(path, sizeof(path), "%s/frozen", dir);
	assert_int_equal(unlink(path), 0);
	(void)snprintf(path, sizeof(path), "%s/lock", dir);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(dm_record_lock(&other), 0);
	assert_int_equal(dm_record_open(&dm), EWOULDBLOCK);
	assert_int_equal(dm_record_open(&dm), EWOULDBLOCK);
	(void)close(other.dm_lock);
	assert_int_equal(dm_record_open(&dm), 0);
	(void)close(dm.dm_lock);
	scratch_remove(dir);
}

/* The last line on standard error. */
static const char *
said(int from)
{
	static char text[1024];
	ssize_t n = read(from, text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = '\0';
	return (text);
}

static void
what_cannot_be_made_is_named_with_the_remedy(void **state)
{
	int fds[2], old = dup(STDERR_FILENO);

	(void)state;
	assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
	(void)dup2(fds[1], STDERR_FILENO);
	dm.dm_conf.cf_run_dir = "/nowhere/run";
	assert_int_equal(dm_record_lock(&dm), ENOENT);
	assert_non_null(strstr(said(fds[0]), "/nowhere/run: No such file"));
	dm.dm_conf.cf_run_dir = "/dev/null";
	assert_int_equal(dm_record_lock(&dm), ENOTDIR);
	assert_non_null(strstr(said(fds[0]), "/dev/null/lock: Not a dir"));
	assert_int_equal(dm_record_open(&dm), ENOTDIR);
	dm.dm_record = -1;
	(void)dup2(old, STDERR_FILENO);
	(void)close(old);
	(void)close(fds[0]);
	(void)close(fds[1]);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(what_is_written_is_read_again_odd_names_and_all),
		CASE(what_is_only_flushed_is_not_in_it),
		CASE(a_shorter_one_leaves_nothing_of_a_longer_one),
		CASE(an_emptied_one_names_nothing),
		CASE(one_on_a_disk_is_refused),
		CASE(one_of_another_boot_or_form_is_ignored),
		CASE(lines_beyond_what_can_be_frozen_are_left_out),
		CASE(damaged_lines_are_left_out),
		CASE(a_process_is_known_by_number_and_start),
		CASE(a_directory_has_one_lock_and_one_record),
		CASE(who_has_lost_the_lock_gets_no_record_however_often),
		CASE(what_cannot_be_made_is_named_with_the_remedy),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
