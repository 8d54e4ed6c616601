/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* The status socket (drv_status.h). */

#include "drv_status.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "report.h"
#include "version.h"

#define STATUS_IDLE_NS	 (10 * VSS_NS_PER_S) /* without a request */
#define STATUS_SEND_NS	 (5 * VSS_NS_PER_S)  /* one document */
#define STATUS_PAUSE_NS	 VSS_NS_PER_S	     /* where no more can be had */
#define STATUS_FOLLOW_NS (60 * VSS_NS_PER_S) /* one who follows takes it */

/* A document's parts, in their order; those of a list come again and again. */
enum status_part {
	PART_NONE, /* a request is awaited */
	PART_HEAD,
	PART_CLIENTS,
	PART_CKPTS,
	PART_CKPT_CLIENTS,
	PART_TAIL,
	PART_FOLLOW,
	PART_FOLLOW_CLIENTS
};

/* A test whose requester goes is called off by status_reap(). */
static void
conn_close(struct status_conn *sn)
{
	if (sn->sn_fd >= 0)
		close(sn->sn_fd);
	sn->sn_fd = -1;
}

/* The end of a document's line. */
static void
put_end(struct json_out *jo)
{
	jo->jo_comma = false;
	json_raw(jo, NULL, "\n");
	jo->jo_comma = false;
}

static void
put_version(
    struct json_out *jo, const char *key, const struct vmbus_icmsg_version *iv)
{
	char text[16];

	snprintf(text, sizeof(text), "%u.%u", iv->iv_major, iv->iv_minor);
	json_text(jo, key, text);
}

static void
put_host(struct json_out *jo, const struct status *st,
    const struct vss_engine_status *es)
{
	json_open(jo, "host", '{');
	json_text(jo, "transport", st->st_transport);
	json_bool(jo, "connected", st->st_link->ln_up);
	if (es->es_agreed.ia_message.iv_major != 0) {
		put_version(jo, "framework", &es->es_agreed.ia_framework);
		put_version(jo, "message", &es->es_agreed.ia_message);
	}
	json_close(jo, '}');
}

static void
put_numbers(struct json_out *jo, const struct status *st,
    const struct vss_engine_status *es)
{
	json_open(jo, "counters", '{');
	json_number(jo, "requests", es->es_requests);
	json_number(jo, "replies", es->es_replies);
	json_number(jo, "dropped", es->es_dropped);
	json_number(jo, "turned_away", es->es_turned_away);
	json_close(jo, '}');
	json_open(jo, "limits_ms", '{');
	for (uint32_t i = 0; i < CONF_NLIMITS; i++)
		json_number(jo, conf_limit_name((enum conf_limit)i),
		    st->st_conf->cf_limit_ms[i]);
	json_close(jo, '}');
}

static void
put_head(struct json_out *jo, const struct status *st, uint64_t now_ns)
{
	struct vss_engine_status es;

	vss_engine_status(st->st_engine, &es);
	json_open(jo, NULL, '{');
	json_text(jo, "version", HV_VSS_VERSION);
	json_number(jo, "pid", (uint64_t)getpid());
	json_number(jo, "run", st->st_log->lg_digest.dg_run);
	json_number(jo, "now_ns", now_ns);
	put_host(jo, st, &es);
	json_text(jo, "state", es.es_state);
	json_bool(jo, "frozen", es.es_frozen);
	json_bool(jo, "lost", es.es_lost);
	json_bool(jo, "test", test_running(st->st_test));
	json_number(jo, "time_left_ms",
	    vss_engine_time_left(st->st_engine, now_ns) / VSS_NS_PER_MS);
	json_bool(jo, "daemon", es.es_daemon);
	json_number(jo, "applications", es.es_napps);
	json_number(jo, "stale", es.es_nstale);
	json_text(
	    jo, "apps", st->st_conf->cf_besteffort ? "besteffort" : "require");
	put_numbers(jo, st, &es);
	json_open(jo, "clients", '[');
}

static void
put_client(struct json_out *jo, const struct vss_engine_client *cl)
{
	json_open(jo, NULL, '{');
	json_text(jo, "name", cl->cl_name);
	json_text(jo, "kind",
	    cl->cl_kind == VSS_ENGINE_FS ? "daemon" : "application");
	json_number(jo, "client", cl->cl_serial);
	json_number(jo, "pid", cl->cl_who.ew_pid);
	json_number(jo, "uid", cl->cl_who.ew_uid);
	json_text(jo, "command", cl->cl_who.ew_comm);
	json_number(jo, "level", cl->cl_next_level);
	json_bool(jo, "prepare", cl->cl_next_prepare);
	json_bool(
	    jo, "takes_part", cl->cl_active || cl->cl_kind == VSS_ENGINE_FS);
	json_bool(jo, "stale", cl->cl_stale);
	if (cl->cl_awaited)
		json_text(jo, "asked", ckpt_client_op_name(cl->cl_asked_op));
	json_close(jo, '}');
}

/* The next client's piece; the list's end is the next part. */
static void
piece_clients(const struct status *st, struct status_conn *sn)
{
	const struct vss_engine *e = st->st_engine;
	const struct vss_engine_client *cl;

	while (sn->sn_index <= e->e_conf->ec_max_clients) {
		cl = &e->e_clients[sn->sn_index++];
		if (cl->cl_serial == 0)
			continue;
		put_client(&sn->sn_out, cl);
		return;
	}
	json_close(&sn->sn_out, ']');
	json_open(&sn->sn_out, "checkpoints", '[');
	sn->sn_part = PART_CKPTS;
	sn->sn_seq = ckpt_digest_first(&st->st_log->lg_digest);
}

/* The clients of a checkpoint; false when it was forgotten meanwhile. */
static bool
piece_ckpt_clients(
    const struct status *st, struct status_conn *sn, enum status_part next)
{
	const struct ckpt *ck;

	ck = ckpt_digest_find(&st->st_log->lg_digest, sn->sn_seq);
	if (ck == NULL)
		return (false);
	if (sn->sn_index < ck->ck_nclients) {
		ckpt_json_client(&sn->sn_out, ck, sn->sn_index++);
		return (true);
	}
	ckpt_json_tail(&sn->sn_out, ck);
	sn->sn_part = (uint8_t)next;
	if (next == PART_CKPTS)
		sn->sn_seq++;
	else
		put_end(&sn->sn_out);
	return (true);
}

static void
piece_ckpt(
    const struct status *st, struct status_conn *sn, enum status_part clients)
{
	const struct ckpt *ck;

	ck = ckpt_digest_find(&st->st_log->lg_digest, sn->sn_seq);
	if (ck == NULL) {
		sn->sn_seq++; /* It was forgotten meanwhile. */
		return;
	}
	ckpt_json_head(&sn->sn_out, ck);
	sn->sn_index = 0;
	sn->sn_part = (uint8_t)clients;
}

/* Writes one more piece; false when there is nothing to send for now. */
static bool
conn_piece(const struct status *st, struct status_conn *sn, uint64_t now_ns)
{
	struct json_out *jo = &sn->sn_out;

	switch ((enum status_part)sn->sn_part) {
	case PART_NONE:
		return (false);
	case PART_HEAD:
		put_head(jo, st, now_ns);
		sn->sn_index = 0;
		sn->sn_part = PART_CLIENTS;
		return (true);
	case PART_CLIENTS:
		piece_clients(st, sn);
		return (true);
	case PART_CKPTS:
		if (sn->sn_seq > st->st_log->lg_digest.dg_seq)
			sn->sn_part = PART_TAIL;
		else
			piece_ckpt(st, sn, PART_CKPT_CLIENTS);
		return (true);
	case PART_CKPT_CLIENTS:
		if (!piece_ckpt_clients(st, sn, PART_CKPTS))
			conn_close(sn);
		return (true);
	case PART_TAIL:
		json_close(jo, ']');
		json_close(jo, '}');
		put_end(jo);
		sn->sn_part = PART_NONE;
		return (true);
	case PART_FOLLOW:
		if (sn->sn_seq >= st->st_log->lg_digest.dg_seq)
			return (false);
		if (++sn->sn_seq < ckpt_digest_first(&st->st_log->lg_digest))
			sn->sn_seq = ckpt_digest_first(&st->st_log->lg_digest);
		piece_ckpt(st, sn, PART_FOLLOW_CLIENTS);
		return (true);
	case PART_FOLLOW_CLIENTS:
		if (!piece_ckpt_clients(st, sn, PART_FOLLOW))
			conn_close(sn);
		return (true);
	}
	return (false);
}

static void
conn_limit(struct status_conn *sn, uint64_t now_ns)
{
	sn->sn_deadline_ns = sn->sn_follow ? VSS_ENGINE_NEVER :
					     now_ns + STATUS_IDLE_NS;
}

/* Sends as much as there is and the peer takes. */
static void
conn_send(const struct status *st, struct status_conn *sn, uint64_t now_ns)
{
	struct json_out *jo = &sn->sn_out;
	ssize_t n;

	while (sn->sn_fd >= 0) {
		if (sn->sn_sent == jo->jo_len) {
			sn->sn_sent = jo->jo_len = 0;
			if (!conn_piece(st, sn, now_ns))
				break;
			VSS_ASSERT(!jo->jo_full);
			continue;
		}
		n = send(sn->sn_fd, jo->jo_buf + sn->sn_sent,
		    jo->jo_len - sn->sn_sent, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			/* Who follows has this long from when it is full. */
			if (sn->sn_deadline_ns == VSS_ENGINE_NEVER)
				sn->sn_deadline_ns = now_ns + STATUS_FOLLOW_NS;
			return;
		}
		if (n <= 0) {
			conn_close(sn);
			return;
		}
		sn->sn_sent += (size_t)n;
		if (sn->sn_follow)
			sn->sn_deadline_ns = VSS_ENGINE_NEVER;
	}
	if (sn->sn_fd >= 0 && sn->sn_eof && !sn->sn_follow)
		conn_close(sn);
}

/* Adds a line to what is to be sent, of which there are few. */
static struct json_out *
conn_line(struct status_conn *sn)
{
	if (sn->sn_sent == sn->sn_out.jo_len)
		sn->sn_sent = sn->sn_out.jo_len = 0;
	sn->sn_out.jo_comma = false;
	json_open(&sn->sn_out, NULL, '{');
	return (&sn->sn_out);
}

static void
conn_say(struct status_conn *sn, const char *key, const char *text)
{
	struct json_out *jo = conn_line(sn);

	json_text(jo, key, text);
	json_close(jo, '}');
	put_end(jo);
}

static void
conn_tested(
    void *arg, const char *word, bool over, const struct vss_engine_reason *er)
{
	struct status_conn *sn = arg;
	struct json_out *jo = conn_line(sn);

	json_text(jo, over ? "result" : "step", word);
	if (over && er != NULL)
		ckpt_json_reason(jo, er);
	json_close(jo, '}');
	put_end(jo);
	if (over)
		sn->sn_test = false;
}

/* "test", or "test HOLD" with milliseconds. */
static void
conn_test(struct status *st, struct status_conn *sn, const char *hold,
    uint64_t now_ns)
{
	const char *why;
	char *end;
	unsigned long ms = strtoul(hold, &end, 10);

	if (*end != '\0')
		why = "not a number of milliseconds";
	else if (sn->sn_uid != 0)
		why = "only root may test";
	else
		why = test_begin(st->st_test, ms, conn_tested, sn, now_ns);
	sn->sn_test = why == NULL;
	if (why != NULL)
		conn_say(sn, "error", why);
	else
		sn->sn_deadline_ns = VSS_ENGINE_NEVER;
}

/* One line, or the end of what the peer has to say. */
static void
conn_request(struct status *st, struct status_conn *sn, const char *line,
    uint64_t now_ns)
{
	json_out_init(&sn->sn_out, sn->sn_buf, sizeof(sn->sn_buf));
	sn->sn_sent = 0;
	sn->sn_deadline_ns = now_ns + STATUS_SEND_NS;
	if (*line == '\0' || strcmp(line, "status") == 0)
		sn->sn_part = PART_HEAD;
	else if (strncmp(line, "test", 4) == 0)
		conn_test(st, sn, line + 4, now_ns);
	else if (strcmp(line, "follow") != 0)
		conn_say(
		    sn, "error", "not a request; status, follow, test are");
	else if (sn->sn_uid != 0)
		conn_say(sn, "error", "only root may follow");
	else {
		sn->sn_follow = true;
		sn->sn_part = PART_FOLLOW;
		sn->sn_seq = 0;
		conn_limit(sn, now_ns);
	}
}

/*
 * Takes a request as soon as it is whole.  Who sends another before the answer
 * is not understood.
 */
static void
conn_read(struct status *st, struct status_conn *sn, uint64_t now_ns)
{
	char *end;
	ssize_t n;

	n = recv(sn->sn_fd, sn->sn_line + sn->sn_nline,
	    sizeof(sn->sn_line) - 1 - sn->sn_nline, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	/* Who follows or tests has nothing more to say. */
	if (n < 0 || sn->sn_follow || sn->sn_test) {
		conn_close(sn);
		return;
	}
	sn->sn_nline += (uint32_t)n;
	sn->sn_line[sn->sn_nline] = '\0';
	sn->sn_eof = n == 0;
	end = strchr(sn->sn_line, '\n');
	if (end == NULL && !sn->sn_eof) {
		if (sn->sn_nline == sizeof(sn->sn_line) - 1)
			conn_close(sn);
		return;
	}
	/* Nothing was said, or all was answered: one document, or none. */
	if (sn->sn_eof && sn->sn_nline == 0 && sn->sn_out.jo_buf != NULL) {
		conn_close(sn);
		return;
	}
	if (end != NULL)
		*end = '\0';
	conn_request(st, sn, sn->sn_line, now_ns);
	sn->sn_nline = 0;
}

static void
conn_open(struct status *st, int fd, uint64_t now_ns)
{
	struct status_conn *sn = NULL;
	struct ucred cred;
	socklen_t len = sizeof(cred);
	unsigned nfree = 0;

	for (unsigned i = 0; i < STATUS_CONNS; i++)
		if (st->st_conns[i].sn_fd < 0) {
			sn = &st->st_conns[i];
			nfree++;
		}
	if (sn == NULL ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0 ||
	    (cred.uid != 0 && nfree <= STATUS_ROOTS)) {
		close(fd);
		return;
	}
	memset(sn, 0, offsetof(struct status_conn, sn_buf));
	sn->sn_fd = fd;
	sn->sn_uid = cred.uid;
	conn_limit(sn, now_ns);
}

static void
status_accept(struct status *st, uint64_t now_ns)
{
	int fd;

	for (unsigned i = 0; i < STATUS_CONNS; i++) {
		fd = accept4(
		    st->st_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		/* Without descriptors it would be asked again and again. */
		if (fd < 0 && errno != EAGAIN && errno != ECONNABORTED)
			st->st_again_ns = now_ns + STATUS_PAUSE_NS;
		if (fd < 0)
			return;
		conn_open(st, fd, now_ns);
	}
}

/* Whether a driver listens there. */
static bool
status_taken(const struct sockaddr_un *sun)
{
	bool taken;
	int fd;

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return (false);
	taken = connect(fd, (const struct sockaddr *)sun, sizeof(*sun)) == 0 ||
	    errno == EAGAIN;
	close(fd);
	return (taken);
}

/* What cannot be done, or NULL; errno says why. */
static const char *
status_listen(struct status *st)
{
	const struct conf_node *cn = &st->st_conf->cf_status;
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	mode_t mask;
	int error;

	if (snprintf(st->st_path, sizeof(st->st_path), "%s/status.sock",
		st->st_conf->cf_run_dir) >= (int)sizeof(st->st_path)) {
		errno = ENAMETOOLONG;
		return ("name");
	}
	memcpy(sun.sun_path, st->st_path, sizeof(sun.sun_path));
	if (mkdir(st->st_conf->cf_run_dir, 0755) != 0 && errno != EEXIST)
		return ("make its directory");
	if (status_taken(&sun)) {
		errno = EADDRINUSE;
		return ("take from another driver");
	}
	st->st_fd = socket(
	    AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	(void)unlink(st->st_path);
	mask = umask(0177);
	error = bind(st->st_fd, (struct sockaddr *)&sun, sizeof(sun));
	(void)umask(mask);
	if (error != 0 || chmod(st->st_path, cn->cn_mode) != 0 ||
	    lchown(st->st_path, cn->cn_owner, cn->cn_group) != 0 ||
	    listen(st->st_fd, STATUS_CONNS) != 0)
		return ("make");
	return (NULL);
}

void
status_start(struct status *st)
{
	const char *what;

	st->st_fd = -1;
	for (unsigned i = 0; i < STATUS_CONNS; i++)
		st->st_conns[i].sn_fd = -1;
	what = status_listen(st);
	if (what == NULL)
		return;
	report(REPORT_WARNING,
	    "%s: cannot %s: %s; hv_vssctl will not see this driver",
	    st->st_path, what, strerror(errno));
	if (st->st_fd >= 0)
		close(st->st_fd);
	st->st_fd = -1;
}

void
status_stop(struct status *st)
{
	for (unsigned i = 0; i < STATUS_CONNS; i++)
		conn_close(&st->st_conns[i]);
	if (st->st_fd < 0)
		return;
	close(st->st_fd);
	st->st_fd = -1;
	(void)unlink(st->st_path);
}

void
status_poll(const struct status *st, struct pollfd *fds)
{
	const struct status_conn *sn;

	fds[0] = (struct pollfd) { .fd = st->st_again_ns == 0 ? st->st_fd : -1,
		.events = POLLIN };
	for (unsigned i = 0; i < STATUS_CONNS; i++) {
		sn = &st->st_conns[i];
		fds[1 + i].fd = sn->sn_fd;
		/* One document after the other. */
		fds[1 + i].events = sn->sn_sent < sn->sn_out.jo_len ? POLLOUT :
								      POLLIN;
	}
}

/* Who is gone wants no test any more; its place may be another's soon. */
static void
status_reap(struct status *st, uint64_t now_ns)
{
	for (unsigned i = 0; i < STATUS_CONNS; i++)
		if (st->st_conns[i].sn_fd < 0 && st->st_conns[i].sn_test) {
			st->st_conns[i].sn_test = false;
			st->st_test->tt_say = NULL;
			test_cancel(st->st_test, false, now_ns);
		}
}

void
status_event(struct status *st, const struct pollfd *fds, uint64_t now_ns)
{
	struct status_conn *sn;

	for (unsigned i = 0; i < STATUS_CONNS; i++) {
		sn = &st->st_conns[i];
		if (sn->sn_fd < 0)
			continue;
		if (fds[1 + i].revents != 0 && sn->sn_sent == sn->sn_out.jo_len)
			conn_read(st, sn, now_ns);
		else if ((fds[1 + i].revents & (POLLERR | POLLHUP)) != 0)
			conn_close(sn);
		if (sn->sn_fd >= 0 && now_ns >= sn->sn_deadline_ns)
			conn_close(sn);
	}
	status_reap(st, now_ns);
	if (now_ns >= st->st_again_ns)
		st->st_again_ns = 0;
	if (fds[0].revents != 0)
		status_accept(st, now_ns);
}

void
status_turn(struct status *st, uint64_t now_ns)
{
	struct status_conn *sn;
	bool busy;

	status_reap(st, now_ns);
	for (unsigned i = 0; i < STATUS_CONNS; i++) {
		sn = &st->st_conns[i];
		if (sn->sn_fd < 0 || sn->sn_out.jo_buf == NULL)
			continue;
		busy = sn->sn_part != PART_NONE ||
		    sn->sn_sent < sn->sn_out.jo_len;
		if (!busy)
			continue;
		conn_send(st, sn, now_ns);
		if (sn->sn_fd >= 0 && sn->sn_part == PART_NONE &&
		    !sn->sn_test && sn->sn_sent == sn->sn_out.jo_len)
			conn_limit(sn, now_ns);
	}
}

uint64_t
status_deadline(const struct status *st)
{
	uint64_t at_ns = VSS_ENGINE_NEVER;

	if (st->st_again_ns != 0)
		at_ns = st->st_again_ns;
	for (unsigned i = 0; i < STATUS_CONNS; i++)
		if (st->st_conns[i].sn_fd >= 0 &&
		    st->st_conns[i].sn_deadline_ns < at_ns)
			at_ns = st->st_conns[i].sn_deadline_ns;
	return (at_ns);
}
