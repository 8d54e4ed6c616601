/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* Datagrams and shared memory of daemon, worker and guard. */

#include "frz_msg.h"

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "os.h"

#define FRZ_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

union frz_cmsg {
	struct cmsghdr fc_hdr;
	char fc_space[CMSG_SPACE(FRZ_FDS_MAX * sizeof(int))];
};

uint64_t
frz_now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_BOOTTIME, &ts);
	return ((uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec);
}

int
frz_wait_ms(uint64_t at_ns)
{
	uint64_t now = frz_now_ns(), ms;

	if (at_ns == UINT64_MAX)
		return (-1);
	if (at_ns <= now)
		return (0);
	/* Rounded up, so that the time has come when poll returns. */
	ms = (at_ns - now) / 1000000 + 1;
	return (ms > 3600000 ? 3600000 : (int)ms);
}

int
frz_send(int sock, const struct frz_msg *fm, const struct frz_fds *ff)
{
	struct frz_msg copy = *fm;
	struct iovec iov = { &copy, sizeof(copy) };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	union frz_cmsg cm;
	ssize_t n;

	if (ff != NULL && ff->ff_count > 0) {
		memset(&cm, 0, sizeof(cm));
		mh.msg_control = &cm;
		mh.msg_controllen = CMSG_SPACE(ff->ff_count * sizeof(int));
		cm.fc_hdr.cmsg_level = SOL_SOCKET;
		cm.fc_hdr.cmsg_type = SCM_RIGHTS;
		cm.fc_hdr.cmsg_len = CMSG_LEN(ff->ff_count * sizeof(int));
		memcpy(CMSG_DATA(&cm.fc_hdr), ff->ff_fd,
		    ff->ff_count * sizeof(int));
	}
	do {
		n = sendmsg(sock, &mh, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n == -1 && errno == EINTR);
	if (n == -1)
		return (errno);
	return ((size_t)n == sizeof(copy) ? 0 : EBADMSG);
}

void
frz_say(int sock, struct frz_saying fa)
{
	struct frz_msg fm;

	memset(&fm, 0, sizeof(fm));
	fm.fm_op = fa.fa_op;
	fm.fm_of = fa.fa_of;
	fm.fm_gen = fa.fa_gen;
	fm.fm_errno = fa.fa_errno;
	fm.fm_index = fa.fa_index;
	(void)frz_send(sock, &fm, NULL);
}

void
frz_fds_close(struct frz_fds *ff)
{
	uint32_t i;

	for (i = 0; i < ff->ff_count; i++)
		if (ff->ff_fd[i] != -1)
			(void)close(ff->ff_fd[i]);
	ff->ff_count = 0;
}

/*
 * Takes the descriptors out of the control messages; false if there are more
 * than there may be.  (Padding may have left room for one.)
 */
static bool
frz_take_fds(struct msghdr *mh, struct frz_fds *ff)
{
	struct cmsghdr *ch;
	size_t count, i;
	bool fit = true;
	int fd;

	for (ch = CMSG_FIRSTHDR(mh); ch != NULL; ch = CMSG_NXTHDR(mh, ch)) {
		if (ch->cmsg_level != SOL_SOCKET || ch->cmsg_type != SCM_RIGHTS)
			continue;
		count = (ch->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (i = 0; i < count; i++) {
			memcpy(
			    &fd, CMSG_DATA(ch) + i * sizeof(int), sizeof(fd));
			if (ff->ff_count < FRZ_FDS_MAX) {
				ff->ff_fd[ff->ff_count++] = fd;
			} else {
				(void)close(fd);
				fit = false;
			}
		}
	}
	return (fit);
}

int
frz_recv(int sock, struct frz_msg *fm, struct frz_fds *ff)
{
	struct iovec iov = { fm, sizeof(*fm) };
	union frz_cmsg cm;
	struct msghdr mh = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &cm,
		.msg_controllen = sizeof(cm),
	};
	ssize_t n;
	bool fit;

	ff->ff_count = 0;
	do {
		n = recvmsg(sock, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (n == -1 && errno == EINTR);
	if (n == -1)
		return (errno == ECONNRESET ? EPIPE : errno);
	fit = frz_take_fds(&mh, ff);
	if (n == 0 && ff->ff_count == 0)
		return (EPIPE);
	if (fit && (size_t)n == sizeof(*fm) &&
	    (mh.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0 && fm->fm_op > 0 &&
	    fm->fm_op < FRZ_NOPS &&
	    memchr(fm->fm_path, '\0', sizeof(fm->fm_path)) != NULL)
		return (0);
	frz_fds_close(ff);
	return (EBADMSG);
}

bool
frz_take_all(int sock, frz_take_fn *take, void *ctx)
{
	struct frz_msg fm;
	struct frz_fds ff;
	int error;

	while ((error = frz_recv(sock, &fm, &ff)) != EAGAIN) {
		if (error == EBADMSG)
			continue;
		if (error != 0)
			return (false);
		take(ctx, &fm, &ff);
		frz_fds_close(&ff);
	}
	return (true);
}

int
frz_page_create(int *fd, struct frz_page **pg)
{
	int error;

	*fd = memfd_create("hv_vss", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (*fd == -1)
		return (errno);
	if (ftruncate(*fd, sizeof(struct frz_page)) == -1 ||
	    fcntl(*fd, F_ADD_SEALS, FRZ_SEALS) == -1) {
		error = errno;
		goto out;
	}
	*pg = mmap(NULL, sizeof(**pg), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_POPULATE, *fd, 0);
	if (*pg == MAP_FAILED) {
		error = errno;
		goto out;
	}
	(*pg)->pg_magic = FRZ_PAGE_MAGIC;
	(*pg)->pg_version = FRZ_VERSION;
	return (0);
out:
	(void)close(*fd);
	*fd = -1;
	return (error);
}

int
frz_page_map(int fd, struct frz_page **pg)
{
	struct stat st;
	struct frz_page *p;
	int seals;

	seals = fcntl(fd, F_GET_SEALS);
	if (seals == -1 || (seals & FRZ_SEALS) != FRZ_SEALS)
		return (EINVAL);
	if (fstat(fd, &st) == -1)
		return (errno);
	if (st.st_size != (off_t)sizeof(*p))
		return (EINVAL);
	p = mmap(NULL, sizeof(*p), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_POPULATE, fd, 0);
	if (p == MAP_FAILED)
		return (errno);
	if (p->pg_magic != FRZ_PAGE_MAGIC || p->pg_version != FRZ_VERSION) {
		frz_page_unmap(p);
		return (EINVAL);
	}
	*pg = p;
	return (0);
}

void
frz_page_unmap(struct frz_page *pg)
{
	if (pg != NULL)
		(void)munmap(pg, sizeof(*pg));
}

void
frz_page_begin(struct frz_page *pg, uint64_t gen, uint32_t count)
{
	atomic_store(&pg->pg_stop, 0);
	atomic_store(&pg->pg_swept, 0);
	atomic_store(&pg->pg_worker_lease_ns, 0);
	atomic_store(&pg->pg_guard_lease_ns, 0);
	memset(pg->pg_slots, 0, sizeof(pg->pg_slots));
	atomic_store(&pg->pg_count, count);
	atomic_store(&pg->pg_gen, gen);
}

bool
frz_page_level_below(const struct frz_page *pg, uint32_t *level)
{
	uint32_t i, one, highest = 0;
	bool found = false;

	for (i = 0; i < FRZ_FS_MAX; i++) {
		one = pg->pg_slots[i].fs_level % FRZ_FS_MAX;
		if (one < *level && (!found || one > highest)) {
			highest = one;
			found = true;
		}
	}
	*level = highest;
	return (found);
}

bool
frz_slot_armed(struct frz_slot *fs)
{
	uint32_t state = atomic_load(&fs->fs_state);

	/* A state that nobody writes came of an accident: in doubt, thaw. */
	return (state == FRZ_FREEZING || state == FRZ_FROZEN ||
	    state == FRZ_THAWING || state >= FRZ_NSTATES);
}

bool
frz_slot_move(struct frz_slot *fs, enum frz_state from, enum frz_state to)
{
	uint32_t expected = from;

	return (atomic_compare_exchange_strong(&fs->fs_state, &expected, to));
}

void
frz_slot_begin(struct frz_slot *fs, enum frz_step step)
{
	atomic_store(&fs->fs_end_ns[step], 0);
	atomic_store(&fs->fs_begin_ns[step], frz_now_ns());
}

void
frz_slot_end(struct frz_slot *fs, enum frz_step step)
{
	atomic_store(&fs->fs_end_ns[step], frz_now_ns());
}

void
frz_slot_failed(struct frz_slot *fs, enum frz_step step, int error)
{
	atomic_store(&fs->fs_failed, step);
	atomic_store(&fs->fs_errno, error);
}
