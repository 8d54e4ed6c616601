/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The device files, from the kernel's requests down to the engine: the
 * driver's own dispatch and libfuse itself, with a socket in the kernel's
 * place.  The input makes opens, ioctls of any number, size and content, polls,
 * closes, what else programs do to a file, the host's requests and time.
 * Every request has one reply at once, with an errno that hv_vss(4) has; the
 * host has one reply a request, and when all are gone the engine is at rest.
 */

#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <dev/hyperv/hv_vss_ext.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <unistd.h>

#include "fuzz.h"
#include "report.h"

/* Nothing of this machine's is mounted, unmounted or removed. */
static int
fuzz_no(const char *path)
{
	(void)path;
	return (-1);
}

#define mount(source, target, type, flags, data) fuzz_no(data)
#define umount2(target, flags)			 fuzz_no(target)
#define unlink(path)				 fuzz_no(path)
#include "drv_fuse.c"
#undef mount
#undef umount2
#undef unlink

static int fuzz_reply_open(fuse_req_t req, const struct fuse_file_info *fi);
#define fuse_reply_open fuzz_reply_open
#include "drv_dev.c"
#undef fuse_reply_open

#define CLIENTS 6
#define OPENS	12
#define MINOR	31 /* of the kernel's protocol */

struct file {
	bool fl_open;
	uint8_t fl_dev;
	uint64_t fl_fh;
	uint64_t fl_ids[4]; /* last ones that were READ */
	uint32_t fl_opts[4];
	unsigned int fl_nids;
};

static struct {
	struct fuzz_in fz_in;
	struct vss_engine fz_engine;
	struct vss_engine_conf fz_ec;
	struct vss_engine_client fz_clients[CLIENTS + 1];
	struct dev_open fz_open[CLIENTS + 1];
	struct dev_ctx fz_dc;
	struct dev fz_dev[2];
	int fz_kernel[2]; /* the kernel's end of each */
	struct conf fz_conf;
	struct file fz_files[OPENS];
	uint64_t fz_now_ns;
	uint64_t fz_unique;
	uint64_t fz_nrequests;
	uint64_t fz_nreplies;
	bool fz_gone; /* the caller of open does not live to see it */
} fz;

static struct log fuzz_log;
static uint8_t dev_buf[DEV_BUF_LEN];
static uint8_t request[DEV_BUF_LEN];

/* There is no /dev/cuse. */
bool
dev_cuse_usable(const char *dir)
{
	(void)dir;
	return (false);
}

int
dev_cuse_start(struct dev *dv, char *err)
{
	(void)dv;
	(void)err;
	return (ENODEV);
}

void
dev_cuse_stop(struct dev *dv)
{
	(void)dv;
}

static uint64_t
now(void)
{
	return (fz.fz_now_ns);
}

static int
fuzz_reply_open(fuse_req_t req, const struct fuse_file_info *fi)
{
	if (!fz.fz_gone)
		return (fuse_reply_open(req, fi));
	(void)fuse_reply_err(req, ENOENT);
	return (-ENOENT);
}

/* What the driver's loop does after each event. */
static void
turn(void)
{
	struct vss_engine_reply ey;
	uint32_t slot;

	if (vss_engine_deadline(&fz.fz_engine) <= fz.fz_now_ns)
		vss_engine_timer(&fz.fz_engine, fz.fz_now_ns);
	FUZZ_CHECK(vss_engine_deadline(&fz.fz_engine) > fz.fz_now_ns);
	while (vss_engine_reply(&fz.fz_engine, &ey)) {
		log_reply(&fuzz_log, &ey);
		vss_engine_sent(&fz.fz_engine);
		fz.fz_nreplies++;
	}
	while (vss_engine_wake(&fz.fz_engine, &slot))
		dev_wake(&fz.fz_dc, slot);
	log_turn(&fuzz_log);
}

/*
 * Sends a request and takes its one reply, whose body goes into out; returns
 * its error, or -1 when it has none to get.
 */
static int
ask(unsigned int which, uint32_t opcode, const void *arg, size_t len, void *out,
    size_t *out_len)
{
	struct fuse_in_header *ih = (void *)request;
	struct fuse_out_header oh;
	uint8_t answer[4096];
	int error = -1, replies = 0;
	ssize_t n;

	memset(ih, 0, sizeof(*ih));
	ih->len = (uint32_t)(sizeof(*ih) + len);
	ih->opcode = opcode;
	ih->unique = ++fz.fz_unique;
	ih->nodeid = FUSE_ROOT_ID;
	ih->uid = opcode == FUSE_OPEN ? fz.fz_unique % 2 : 0;
	ih->pid = 1;
	if (len != 0)
		memcpy(request + sizeof(*ih), arg, len);
	n = send(fz.fz_kernel[which], request, ih->len, MSG_NOSIGNAL);
	if (fz.fz_dev[which].dv_se != NULL)
		(void)dev_serve(&fz.fz_dev[which]);
	turn();
	if (n < 0)
		return (ENOTCONN);
	while ((n = recv(fz.fz_kernel[which], answer, sizeof(answer),
		    MSG_DONTWAIT)) > 0) {
		FUZZ_CHECK((size_t)n >= sizeof(oh));
		memcpy(&oh, answer, sizeof(oh));
		if (oh.unique == 0) {
			FUZZ_CHECK(oh.error == FUSE_NOTIFY_POLL);
			continue;
		}
		FUZZ_CHECK(oh.unique == fz.fz_unique && ++replies == 1);
		error = -oh.error;
		if (out == NULL)
			continue;
		*out_len = (size_t)n - sizeof(oh) < *out_len ?
		    (size_t)n - sizeof(oh) :
		    *out_len;
		memcpy(out, answer + sizeof(oh), *out_len);
	}
	FUZZ_CHECK(replies == 1 || opcode == FUSE_FORGET ||

	    fz.fz_dev[which].dv_se == NULL);
	return (error);
}

static void
do_open(uint8_t how)
{
	struct fuse_open_in in = { .flags = O_RDWR };
	struct fuse_open_out out;
	struct file *fl;
	size_t len = sizeof(out);
	int error;

	for (fl = fz.fz_files; fl < fz.fz_files + OPENS - 1; fl++)
		if (!fl->fl_open)
			break;
	if (fl->fl_open)
		return;
	fz.fz_gone = how >= 250;
	error = ask(how % 2, FUSE_OPEN, &in, sizeof(in), &out, &len);
	FUZZ_CHECK(error == 0 || error == EBUSY || error == EMFILE ||
	    (error == ENOENT && fz.fz_gone) || error == ENOTCONN);
	fz.fz_gone = false;
	if (error != 0)
		return;
	FUZZ_CHECK(len == sizeof(out) && out.fh <= CLIENTS);
	memset(fl, 0, sizeof(*fl));
	fl->fl_open = true;
	fl->fl_dev = how % 2;
	fl->fl_fh = out.fh;
}

static void
do_close(struct file *fl)
{
	struct fuse_release_in in = { .fh = fl->fl_fh };
	int error;

	error = ask(fl->fl_dev, FUSE_RELEASE, &in, sizeof(in), NULL, NULL);
	FUZZ_CHECK(error == 0 || error == ENOTCONN);
	fl->fl_open = false;
}

/* An ioctl of any number; the kernel takes its sizes from that. */
static int
ioctl_any(struct file *fl, uint32_t cmd, void *data, size_t odd)
{
	uint8_t in[sizeof(struct fuse_ioctl_in) + DEV_IOCTL_MAX] = { 0 };
	uint8_t out[sizeof(struct fuse_ioctl_out) + sizeof(struct hv_vss_luns)];
	struct fuse_ioctl_in *fi = (void *)in;
	size_t len = sizeof(out);
	int error;

	fi->fh = fl->fl_fh;
	fi->cmd = cmd;
	fi->in_size = _IOC_DIR(cmd) & _IOC_WRITE ? _IOC_SIZE(cmd) : 0;
	fi->out_size = _IOC_DIR(cmd) & _IOC_READ ? _IOC_SIZE(cmd) : 0;
	if (odd != 0)
		fi->in_size = (uint32_t)odd % 512;
	if (fi->in_size != 0 && data != NULL)
		memcpy(in + sizeof(*fi), data,
		    fi->in_size < 512 ? fi->in_size : 512);
	error = ask(
	    fl->fl_dev, FUSE_IOCTL, in, sizeof(*fi) + fi->in_size, out, &len);
	FUZZ_CHECK(error == 0 || error == ENOTTY || error == EINVAL ||
	    error == EBADF || error == ENOTCONN);
	if (error == 0) {
		FUZZ_CHECK(len >= sizeof(struct fuse_ioctl_out));
		len -= sizeof(struct fuse_ioctl_out);
		FUZZ_CHECK(len <= fi->out_size);
		if (data != NULL)
			memcpy(data, out + sizeof(struct fuse_ioctl_out),
			    len < 512 ? len : 512);
	}
	return (error);
}

static void
do_read(struct file *fl)
{
	uint8_t data[512] = { 0 };
	struct hv_vss_opt_msg msg;
	unsigned int i;

	if (ioctl_any(fl, IOCHVVSSREAD, data, 0) != 0)
		return;
	memcpy(&msg, data, sizeof(msg));
	for (i = 0; i < sizeof(msg.reserved); i++)
		FUZZ_CHECK(msg.reserved[i] == 0);
	FUZZ_CHECK((msg.msgid == 0) == (msg.status == VSS_FAIL) &&
	    (msg.msgid == 0) == (msg.opt == 0));
	if (msg.msgid == 0)
		return;
	i = fl->fl_nids++ % 4;
	fl->fl_ids[i] = msg.msgid;
	fl->fl_opts[i] = msg.opt;
}

static void
do_write(struct file *fl, uint8_t how)
{
	uint8_t data[512] = { 0 };
	struct hv_vss_opt_msg msg = { 0 };
	unsigned int i = how % 4;

	/* The last one READ, mostly. */
	if (how < 128)
		i = (fl->fl_nids - 1) % 4;
	msg.opt = fl->fl_opts[i];
	msg.msgid = fl->fl_ids[i];
	msg.status = how % 8 == 7 ? how : 0;
	if (how >= 240)
		fuzz_bytes(&fz.fz_in, &msg, sizeof(msg));
	memcpy(data, &msg, sizeof(msg));
	(void)ioctl_any(fl, IOCHVVSSWRITE, data, 0);
}

static void
do_ioctl(struct file *fl)
{
	static const uint32_t cmds[] = { IOCHVVSSHELLO, IOCHVVSSREASON,
		IOCHVVSSTIMELEFT, FIONBIO, FIOASYNC, IOCHVVSSREAD,
		IOCHVVSSWRITE, IOCHVVSSLUNS };
	uint8_t data[512] = { 0 }, how = fuzz_u8(&fz.fz_in);
	uint32_t cmd;

	cmd = cmds[how % VSS_NELEM(cmds)];
	if (how >= 224)
		cmd = fuzz_u32(&fz.fz_in);
	else if (how >= 192)
		cmd ^= 1U << fuzz_u8(&fz.fz_in) % 32;
	if (cmd == IOCHVVSSHELLO && how % 2 == 0) {
		data[0] = 'n';
		data[32] = fuzz_u8(&fz.fz_in) % 101;
		data[36] = 1;
	} else
		fuzz_bytes(&fz.fz_in, data, fuzz_u16(&fz.fz_in) % 512);
	(void)ioctl_any(
	    fl, cmd, data, how >= 160 && how < 192 ? fuzz_u16(&fz.fz_in) : 0);
}

static void
do_poll(struct file *fl, bool wait)
{
	struct fuse_poll_in in = { .fh = fl->fl_fh, .kh = 7, .events = POLLIN };
	struct fuse_poll_out out;
	size_t len = sizeof(out);
	int error;

	in.flags = wait ? FUSE_POLL_SCHEDULE_NOTIFY : 0;
	error = ask(fl->fl_dev, FUSE_POLL, &in, sizeof(in), &out, &len);
	FUZZ_CHECK(error == 0 || error == EBADF || error == ENOTCONN);
	if (error == 0)
		FUZZ_CHECK(
		    out.revents == 0 || out.revents == (POLLIN | POLLRDNORM));
}

/* What else a program may do to a file. */
static void
do_other(unsigned int which, uint8_t how)
{
	static const uint32_t opcodes[] = { FUSE_GETATTR, FUSE_SETATTR,
		FUSE_READ, FUSE_WRITE, FUSE_FLUSH, FUSE_FSYNC, FUSE_STATFS,
		FUSE_FORGET, FUSE_LSEEK, FUSE_FALLOCATE };
	uint8_t arg[256] = { 0 };
	uint32_t opcode = opcodes[how % VSS_NELEM(opcodes)];

	fuzz_bytes(&fz.fz_in, arg, 16);
	if (opcode == FUSE_WRITE)
		memset(arg, 0, sizeof(arg));
	(void)ask(which, opcode, arg,
	    opcode == FUSE_WRITE ? sizeof(struct fuse_write_in) : 128, NULL,
	    NULL);
}

static void
host_asks(uint8_t how)
{
	static const struct vmbus_icmsg_agreed agreed = { { 3, 0 }, { 5, 0 } };
	static const uint8_t ops[] = { VSS_WIRE_CHECK_HOT_BACKUP,
		VSS_WIRE_FREEZE, VSS_WIRE_THAW, VSS_WIRE_BACKUP_COMPLETE };
	struct vss_wire_request wr = { 0 };
	uint8_t *buf = vss_engine_rx_buf(&fz.fz_engine);
	uint32_t len;

	if (buf == NULL)
		return;
	wr.wr_op = ops[how % VSS_NELEM(ops)];
	len = vss_wire_encode(buf, VMBUS_ICMSG_PKT_MAX, &agreed, &wr, NULL);
	vss_engine_rx(&fz.fz_engine, len, ++fz.fz_nrequests, fz.fz_now_ns);
	turn();
}

static void
act(void)
{
	uint8_t what = fuzz_u8(&fz.fz_in), how = fuzz_u8(&fz.fz_in);
	struct file *fl = &fz.fz_files[how % OPENS], odd = { 0 };

	if (how >= 248) {
		/* A file that the driver does not know. */
		odd.fl_dev = how % 2;
		odd.fl_fh = fuzz_u64(&fz.fz_in);
		if (how >= 252)
			odd.fl_fh %= CLIENTS + 2;
		fl = &odd;
	} else if (!fl->fl_open)
		fl = &fz.fz_files[0];
	switch (what % 10) {
	case 0:
		do_open(how);
		break;
	case 1:
	case 2:
		do_read(fl);
		break;
	case 3:
	case 4:
		do_write(fl, what / 10 * 10);
		break;
	case 5:
		do_ioctl(fl);
		break;
	case 6:
		do_poll(fl, what / 10 % 2 != 0);
		break;
	case 7:
		host_asks(how);
		break;
	case 8:
		fz.fz_now_ns += how < 128 ? how * VSS_NS_PER_MS :
					    (how - 127) * VSS_NS_PER_S / 4;
		turn();
		break;
	default:
		if (what / 10 % 4 == 0 && fl != &odd && fl->fl_open)
			do_close(fl);
		else if (what / 10 % 4 == 1 && how == 77)
			(void)shutdown(fz.fz_kernel[what / 40 % 2], SHUT_WR);
		else
			do_other(what / 40 % 2, how);
		break;
	}
}

static void
start_device(unsigned int which)
{
	struct fuse_init_in init = { .major = FUSE_KERNEL_VERSION,
		.minor = MINOR };
	struct dev *dv = &fz.fz_dev[which];
	char err[DEV_ERR_MAX];
	int sv[2];

	FUZZ_CHECK(
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC,
		0, sv) == 0);
	dv->dv_ctx = &fz.fz_dc;
	dv->dv_kind = which == 0 ? VSS_ENGINE_FS : VSS_ENGINE_APP;
	dv->dv_node = which == 0 ? &fz.fz_conf.cf_fs : &fz.fz_conf.cf_app;
	dv->dv_fd = sv[0];
	fz.fz_kernel[which] = sv[1];
	FUZZ_CHECK(dev_fuse_session(dv, err) == 0);
	FUZZ_CHECK(ask(which, FUSE_INIT, &init, sizeof(init), NULL, NULL) == 0);
	FUZZ_CHECK(dv->dv_ready && dev_greet(dv) == 0);
}

/* Everybody goes; in the end nothing is owed to anybody. */
static void
finish(void)
{
	unsigned int i;

	for (i = 0; i < OPENS; i++)
		if (fz.fz_files[i].fl_open)
			do_close(&fz.fz_files[i]);
	for (i = 0; i < 2; i++)
		if (fz.fz_dev[i].dv_se != NULL)
			(void)dev_serve(&fz.fz_dev[i]);
	for (i = 0;
	     i < 100 && vss_engine_deadline(&fz.fz_engine) != VSS_ENGINE_NEVER;
	     i++) {
		fz.fz_now_ns = vss_engine_deadline(&fz.fz_engine);
		turn();
	}
	FUZZ_CHECK(fz.fz_engine.e_state == VSS_ENGINE_IDLE);
	FUZZ_CHECK(fz.fz_nreplies == fz.fz_nrequests);
	for (i = 0; i <= CLIENTS; i++)
		FUZZ_CHECK(!fz.fz_open[i].do_used && !fz.fz_open[i].do_ph);
	for (i = 0; i < 2; i++) {
		dev_stop(&fz.fz_dev[i]);
		(void)close(fz.fz_kernel[i]);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	memset(&fz, 0, sizeof(fz));
	fz.fz_in.fi_next = data;
	fz.fz_in.fi_left = size;
	report_init("fuzz", REPORT_ERROR);
	fz.fz_now_ns = VSS_NS_PER_S;
	conf_default(&fz.fz_conf);
	vss_engine_conf_default(&fz.fz_ec);
	fz.fz_ec.ec_max_clients = CLIENTS;
	fz.fz_ec.ec_max_per_uid = 3;
	log_init(&fuzz_log, &fz.fz_engine, CLIENTS + 1, NULL);
	FUZZ_CHECK(vss_engine_init(&fz.fz_engine, &fz.fz_ec, fz.fz_clients,
		       &fuzz_log.lg_trace) == 0);
	vss_engine_channel_opened(&fz.fz_engine, fz.fz_now_ns);
	fz.fz_dc = (struct dev_ctx) { .dc_engine = &fz.fz_engine,
		.dc_log = &fuzz_log,
		.dc_conf = &fz.fz_conf,
		.dc_open = fz.fz_open,
		.dc_nopen = CLIENTS + 1,
		.dc_proc = -1,
		.dc_now = now,
		.dc_buf = dev_buf };
	start_device(0);
	start_device(1);
	while (fz.fz_in.fi_left != 0)
		act();
	finish();
	return (0);
}
