/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The emulator's side: replies of a guest that sends any bytes for any
 * transaction, and the stand-in for /dev/vmbus/hv_vss with a program that
 * writes anything at any time.  Each request ends once; what no guest may send
 * breaks the link, and then nothing is awaited any more.
 */

#define FUSE_USE_VERSION 31

#include <fuse3/fuse_log.h>
#include <fuse3/fuse_lowlevel.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "fuzz.h"

/* What is printed is not shown. */
static int __attribute__((format(printf, 1, 2)))
fuzz_print(const char *fmt, ...)
{
	char line[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	return (n);
}

#define printf(...) fuzz_print(__VA_ARGS__)
#include "host_reply.c"
#undef printf
#include "host_hvutils.c"

#define REQS 6

static struct {
	struct fuzz_in fz_in;
	struct host fz_host;
	struct host_req fz_reqs[REQS];
	struct host_req *fz_list[REQS];
	bool fz_over[REQS]; /* it has ended */
	uint8_t fz_sent[REQS][VSS_WIRE_MIN_LEN];
	struct host_utils fz_utils;
	unsigned int fz_replies; /* to the request of FUSE */
	int fz_error;
} fz;

uint64_t
host_now(void)
{
	return (1000000000ULL);
}

void
host_warn(const struct host *ho, const char *fmt, ...)
{
	(void)ho;
	(void)fmt;
}

void
host_result(struct host *ho, enum host_exit code)
{
	if (ho->ho_exit != HOST_EXIT_USAGE &&
	    (code == HOST_EXIT_USAGE || code > ho->ho_exit))
		ho->ho_exit = code;
}

const char *
host_op_name(enum host_op op)
{
	FUZZ_CHECK(op <= HOST_WAIT);
	return ("operation");
}

/* What libfuse does; every request has one reply. */
void *
fuse_req_userdata(fuse_req_t req)
{
	(void)req;
	return (&fz.fz_utils);
}

static int
replied(int error)
{
	fz.fz_replies++;
	fz.fz_error = error;
	return (0);
}

int
fuse_reply_err(fuse_req_t req, int error)
{
	(void)req;
	return (replied(error));
}

int
fuse_reply_attr(fuse_req_t req, const struct stat *st, double timeout)
{
	(void)req;
	(void)timeout;
	FUZZ_CHECK(S_ISREG(st->st_mode));
	return (replied(0));
}

int
fuse_reply_open(fuse_req_t req, const struct fuse_file_info *fi)
{
	(void)req;
	FUZZ_CHECK(fi->direct_io && fi->nonseekable);
	(void)replied(0);
	return (fuzz_u8(&fz.fz_in) >= 240 ? -ENOENT : 0);
}

int
fuse_reply_buf(fuse_req_t req, const char *buf, size_t len)
{
	(void)req;
	FUZZ_CHECK(buf != NULL && (len == 4 || len == UTILS_MSG_LEN));
	return (replied(0));
}

int
fuse_reply_write(fuse_req_t req, size_t len)
{
	(void)req;
	FUZZ_CHECK(len == UTILS_MSG_LEN);
	return (replied(0));
}

int
fuse_reply_poll(fuse_req_t req, unsigned int revents)
{
	(void)req;
	FUZZ_CHECK((revents != 0) == (fz.fz_utils.hu_msg_len != 0));
	return (replied(0));
}

int
fuse_lowlevel_notify_poll(struct fuse_pollhandle *ph)
{
	FUZZ_CHECK(ph != NULL);
	return (0);
}

void
fuse_pollhandle_destroy(struct fuse_pollhandle *ph)
{
	free(ph);
}

/* Requests that end, end once; after the link is lost all have. */
static void
check_reqs(void)
{
	struct host_req *hr;
	unsigned int i;
	bool over;

	for (i = 0; i < REQS; i++) {
		hr = &fz.fz_reqs[i];
		over = hr->hr_state == HOST_REQ_DONE ||
		    hr->hr_state == HOST_REQ_UNSENT ||
		    hr->hr_state == HOST_REQ_GIVEN_UP ||
		    hr->hr_state == HOST_REQ_LATE;
		FUZZ_CHECK(over || !fz.fz_over[i]);
		fz.fz_over[i] = over;
		FUZZ_CHECK(over || !fz.fz_host.ho_lost);
	}
}

static void
start(void)
{
	static const struct vmbus_icmsg_agreed agreed = { { 3, 0 }, { 5, 0 } };
	struct vss_wire_request wr = { 0 };
	struct host_req *hr;
	uint8_t how;
	uint32_t i;

	fz.fz_host.ho_reqs = fz.fz_list;
	fz.fz_host.ho_nreqs = REQS;
	fz.fz_host.ho_json = fuzz_u8(&fz.fz_in) % 2 != 0;
	for (i = 0; i < REQS; i++) {
		how = fuzz_u8(&fz.fz_in);
		hr = fz.fz_list[i] = &fz.fz_reqs[i];
		hr->hr_xactid = i + 1;
		hr->hr_n = how / 8 % 8;
		hr->hr_op = how % 7;
		hr->hr_state = how / 64 % 2 ? HOST_REQ_SENT : HOST_REQ_WAITS;
		hr->hr_link = how >= 240;
		hr->hr_pkt = fz.fz_sent[i];
		hr->hr_len = VSS_WIRE_MIN_LEN;
		wr.wr_op = how % 7;
		(void)vss_wire_encode(
		    fz.fz_sent[i], VSS_WIRE_MIN_LEN, &agreed, &wr, NULL);
		if (hr->hr_op == HOST_NEGOTIATE)
			vmbus_icmsg_put16(
			    fz.fz_sent[i] + VMBUS_ICMSG_O_TYPE, 0);
		if (hr->hr_op == HOST_RAW) {
			hr->hr_len = fuzz_u8(&fz.fz_in) % VSS_WIRE_MIN_LEN;
			fuzz_bytes(&fz.fz_in, fz.fz_sent[i], hr->hr_len / 2);
		}
	}
}

/* A guest's packet: an echo with some bytes changed, or any. */
static void
guest_sends(void)
{
	uint8_t how = fuzz_u8(&fz.fz_in), n = fuzz_u8(&fz.fz_in) % 8, *pkt;
	uint32_t i = how % REQS, len = VSS_WIRE_MIN_LEN;

	if (how >= 192)
		len = fuzz_u8(&fz.fz_in);
	if (n == 7)
		len += 8;
	pkt = fuzz_exact(len);
	memcpy(pkt, fz.fz_sent[i],
	    len < VSS_WIRE_MIN_LEN ? len : VSS_WIRE_MIN_LEN);
	if (len >= VMBUS_ICMSG_HDRS_LEN)
		vmbus_icmsg_reply(pkt, n == 6 ? VMBUS_ICMSG_S_FAIL : 0);
	while (n-- > 0 && len != 0 && n < 6)
		pkt[fuzz_u8(&fz.fz_in) % len] = fuzz_u8(&fz.fz_in);
	host_packet(&fz.fz_host, how / REQS % 8 == 7 ? how : i + 1, pkt, len);
	free(pkt);
}

static void
as_ring(void)
{
	while (fz.fz_in.fi_left != 0) {
		if (fuzz_u8(&fz.fz_in) % 16 == 0)
			host_link_opened(&fz.fz_host);
		guest_sends();
		check_reqs();
	}
}

/* One call of the program that has the stand-in open. */
static void
program_calls(uint8_t what)
{
	fuse_req_t req = (fuse_req_t)(void *)&fz;
	struct fuse_file_info fi = { 0 };
	uint8_t msg[2 * UTILS_MSG_LEN];
	size_t len;

	fz.fz_replies = 0;
	switch (what % 7) {
	case 0:
		utils_ops.open(req, 1, &fi);
		break;
	case 1:
		utils_ops.release(req, 1, &fi);
		break;
	case 2:
		utils_ops.read(req, 1, what < 224 ? 4096 : what % 16, 0, &fi);
		break;
	case 3:
	case 4:
		len = what >= 224 ? what % sizeof(msg) : UTILS_MSG_LEN;
		memset(msg, 0, sizeof(msg));
		fuzz_bytes(&fz.fz_in, msg, 4);
		if (what >= 128 && what < 224)
			msg[0] = UTILS_REGISTER + what % 2;
		utils_ops.write(req, 1, (const char *)msg, len, 0, &fi);
		break;
	case 5:
		utils_ops.poll(req, 1, &fi, what < 128 ? NULL : fuzz_exact(1));
		break;
	default:
		utils_ops.setattr(req, 1, NULL, 0, &fi);
		break;
	}
	FUZZ_CHECK(fz.fz_replies == 1);
}

/* The host gives a request to the front end, or gives it up. */
static void
host_calls(uint8_t what)
{
	struct host_req *hr = &fz.fz_reqs[what / 4 % REQS];
	int error;

	if (what % 4 == 0 && hr->hr_state == HOST_REQ_SENT) {
		utils_front.hf_cancel(&fz.fz_utils, hr);
		host_give_up(&fz.fz_host, hr);
	} else if (hr->hr_state == HOST_REQ_WAITS) {
		hr->hr_state = HOST_REQ_SENT;
		error = utils_front.hf_send(&fz.fz_utils, hr);
		FUZZ_CHECK(error == 0 || error == EBUSY);
		if (error != 0)
			hr->hr_state = HOST_REQ_WAITS;
	}
	(void)utils_front.hf_ready(&fz.fz_utils);
	FUZZ_CHECK(utils_front.hf_absent(&fz.fz_utils)[0] != '\0');
}

static void
as_utils(void)
{
	uint8_t what;
	unsigned int i;

	fz.fz_utils.hu_host = &fz.fz_host;
	for (i = 0; i < REQS; i++)
		fz.fz_reqs[i].hr_state = HOST_REQ_WAITS;
	while (fz.fz_in.fi_left != 0) {
		what = fuzz_u8(&fz.fz_in);
		if (what % 3 == 0)
			host_calls(fuzz_u8(&fz.fz_in));
		else
			program_calls(fuzz_u8(&fz.fz_in));
		check_reqs();
		/* What was given to the program is awaited. */
		FUZZ_CHECK(fz.fz_utils.hu_req == NULL ||
		    (fz.fz_utils.hu_req->hr_state == HOST_REQ_SENT &&
			fz.fz_utils.hu_state == UTILS_READY));
	}
	fuse_pollhandle_destroy(fz.fz_utils.hu_poll);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	memset(&fz, 0, sizeof(fz));
	fz.fz_in.fi_next = data;
	fz.fz_in.fi_left = size;
	start();
	if (fuzz_u8(&fz.fz_in) % 2 == 0)
		as_ring();
	else
		as_utils();
	return (0);
}
