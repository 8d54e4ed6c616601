/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The record of what may be frozen: any file is read, and what names nothing
 * that is ours names nothing.  What is written for any mount points is read
 * back as it was.
 */

#include <sys/mman.h>
#include <sys/wait.h>

#include "fuzz.h"

#include "dm_record.c"

static struct dm dm;
static struct frz_page page;

void
report(enum report_level level, const char *fmt, ...)
{
	(void)level;
	(void)fmt;
}

static void
put(const void *p, size_t len)
{
	FUZZ_CHECK(write(dm.dm_record, p, len) == (ssize_t)len);
}

/* With the head that this boot's record has, or without. */
static void
read_any(struct fuzz_in *fi)
{
	struct dm_record rc;
	char head[256];
	uint32_t i;
	uint8_t how = fuzz_u8(fi);
	int fd;

	if (how % 4 != 0) {
		char boot[64];

		FUZZ_CHECK(dm_boot_id(boot, sizeof(boot)));
		(void)snprintf(
		    head, sizeof(head), "%s\nboot %s\n", DM_RECORD_HEAD, boot);
		put(head, strlen(head));
	}
	if (how % 4 == 2) {
		(void)snprintf(head, sizeof(head), "worker %d %llu\n",
		    (int)getpid(), (unsigned long long)dm_start_time(getpid()));
		put(head, strlen(head));
	}
	put(fi->fi_next, fi->fi_left);
	memset(&rc, 0xff, sizeof(rc));
	FUZZ_CHECK(dm_record_read(&dm, &rc) == (rc.rc_nfs > 0));
	FUZZ_CHECK(rc.rc_nfs <= FRZ_FS_MAX);
	for (i = 0; i < rc.rc_nfs; i++) {
		FUZZ_CHECK(rc.rc_fs[i].rf_ours);
		FUZZ_CHECK(rc.rc_fs[i].rf_point[0] != '\0' &&
		    memchr(rc.rc_fs[i].rf_point, '\0', FRZ_PATH_MAX) != NULL);
	}
	fd = dm_record_helper(&rc, DM_WORKER);
	FUZZ_CHECK(fd != -1 || how % 4 != 2 || rc.rc_pid[0] != getpid() ||
	    rc.rc_start[0] != dm_start_time(getpid()));
	if (fd != -1)
		(void)close(fd);
	fd = dm_record_helper(&rc, DM_GUARD);
	if (fd != -1)
		(void)close(fd);
}

static void
check_same(const struct dm_record *rc)
{
	const struct dm_txn *tx = &dm.dm_txn;
	const struct dm_record_fs *rf = rc->rc_fs;
	uint32_t i;

	for (i = 0; i < tx->tx_nfs; i++) {
		if ((tx->tx_fs[i].df_flags & FRZ_F_SYNC_ONLY) != 0 ||
		    page.pg_slots[i].fs_state == FRZ_NOT_OURS)
			continue;
		FUZZ_CHECK(rf < rc->rc_fs + rc->rc_nfs);
		FUZZ_CHECK(rf->rf_major == tx->tx_fs[i].df_major &&
		    rf->rf_minor == tx->tx_fs[i].df_minor &&
		    strcmp(rf->rf_point, tx->tx_fs[i].df_point) == 0);
		rf++;
	}
	FUZZ_CHECK(rf == rc->rc_fs + rc->rc_nfs);
}

static void
write_any(struct fuzz_in *fi)
{
	static char points[FRZ_FS_MAX][FRZ_PATH_MAX];
	struct dm_txn *tx = &dm.dm_txn;
	struct dm_record rc;
	size_t len;
	uint32_t i;
	int error;

	memset(tx, 0, sizeof(*tx));
	memset(points, 0, sizeof(points));
	dm.dm_page = &page;
	while (fi->fi_left != 0 && tx->tx_nfs < FRZ_FS_MAX) {
		i = tx->tx_nfs++;
		tx->tx_fs[i].df_major = fuzz_u16(fi);
		tx->tx_fs[i].df_minor = fuzz_u32(fi);
		tx->tx_fs[i].df_flags = fuzz_u8(fi) % 8;
		page.pg_slots[i].fs_state = fuzz_u8(fi) % FRZ_NSTATES;
		len = fuzz_u8(fi) % 64;
		points[i][0] = '/';
		fuzz_bytes(fi, points[i] + 1, len);
		if (fuzz_u8(fi) == 255)
			memset(points[i], '\n', FRZ_PATH_MAX - 1);
		tx->tx_fs[i].df_point = points[i];
	}
	error = dm_record_write(&dm);
	FUZZ_CHECK(error == 0 || error == E2BIG);
	if (error != 0)
		return;
	FUZZ_CHECK(dm_record_read(&dm, &rc) == (rc.rc_nfs > 0));
	check_same(&rc);
	dm_record_clear(&dm);
	FUZZ_CHECK(!dm_record_read(&dm, &rc));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in fi = { data, size };

	dm.dm_record = memfd_create("record", MFD_CLOEXEC);
	FUZZ_CHECK(dm.dm_record != -1);
	if (fuzz_u8(&fi) % 2 == 0)
		read_any(&fi);
	else
		write_any(&fi);
	(void)close(dm.dm_record);
	return (0);
}
