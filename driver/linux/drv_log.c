/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* Lines about transactions, and the trace file (drv_log.h). */

#include "drv_log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "report.h"

#define LOG_BATCH     16384 /* bytes written at once */
#define LOG_MOMENT_MS 50    /* for the trace file to be written */
#define LOG_LINE      512   /* the longest line of the trace file */

/* The one line about a checkpoint with which all is well. */
static void
log_checkpoint(const struct ckpt *ck)
{
	char stale[64] = "";

	if (ck->ck_outcome != CKPT_OK)
		return; /* Why was said when it failed. */
	if (ck->ck_nstale > 0)
		snprintf(stale, sizeof(stale),
		    ", %u not waited for (silent before)", ck->ck_nstale);
	report(REPORT_NOTICE,
	    "%s: ok, %s consistent%s; stall %.1f ms, of it hold %.1f ms; "
	    "%u application%s%s",
	    ck->ck_test ? "test" : "checkpoint", ckpt_consistency(ck),
	    ck->ck_napps == 0 || ck->ck_nstale > 0 ? " only" : "",
	    (double)ckpt_stall_ns(ck) / 1e6, (double)ckpt_hold_ns(ck) / 1e6,
	    ck->ck_napps, ck->ck_napps == 1 ? "" : "s", stale);
}

void
log_reply(struct log *lg, const struct vss_engine_reply *ey)
{
	char why[REPORT_LINE_MAX];
	const char *op;
	double ms;

	ckpt_digest_reply(&lg->lg_digest, ey);
	ms = (double)(ey->ey_answered_ns - ey->ey_arrived_ns) / VSS_NS_PER_MS;
	op = ey->ey_negotiate ? "NEGOTIATE" : vss_wire_op_name(ey->ey_op);
	if (ey->ey_status == VMBUS_ICMSG_S_OK) {
		report(REPORT_DEBUG, "%s: ok in %.1f ms", op, ms);
	} else {
		ckpt_reason(&ey->ey_reason, why, sizeof(why));
		report(REPORT_WARNING, "%s: failed after %.1f ms: %s", op, ms,
		    why);
	}
}

static void
log_describe(const struct vss_engine_client *cl, struct ckpt_client *cc)
{
	memset(cc, 0, sizeof(*cc));
	cc->cc_serial = cl->cl_serial;
	cc->cc_level = cl->cl_level;
	cc->cc_pid = cl->cl_who.ew_pid;
	cc->cc_daemon = cl->cl_kind == VSS_ENGINE_FS;
	cc->cc_stale = cl->cl_stale;
	memcpy(cc->cc_name, cl->cl_name, sizeof(cc->cc_name));
}

void
log_closing(struct log *lg, uint32_t slot)
{
	log_describe(&lg->lg_engine->e_clients[slot],
	    &lg->lg_closed[lg->lg_nclosed++ % LOG_CLIENTS]);
}

/* Who a serial number was; false when that is not known any more. */
static bool
log_who(const struct log *lg, uint32_t serial, struct ckpt_client *cc)
{
	const struct vss_engine_client *cl = lg->lg_engine->e_clients;
	uint32_t i;

	memset(cc, 0, sizeof(*cc));
	if (serial == 0)
		return (false);
	for (i = 0; i < lg->lg_nslots; i++)
		if (cl[i].cl_serial == serial) {
			log_describe(&cl[i], cc);
			return (true);
		}
	for (i = 0; i < LOG_CLIENTS; i++)
		if (lg->lg_closed[i].cc_serial == serial) {
			*cc = lg->lg_closed[i];
			return (true);
		}
	return (false);
}

static const char *
log_host_op(uint32_t op)
{
	switch (op) {
	case VSS_WIRE_CHECK_HOT_BACKUP:
		return ("check");
	case VSS_WIRE_FREEZE:
		return ("freeze");
	case VSS_WIRE_THAW:
		return ("thaw");
	case VSS_WIRE_GET_DM_INFO:
		return ("dm-info");
	case VSS_WIRE_BACKUP_COMPLETE:
		return ("complete");
	case VSS_TRACE_NEGOTIATE:
		return ("negotiate");
	default:
		return (vss_wire_op_name((uint8_t)op));
	}
}

/* te_arg in words, where it stands for something. */
static const char *
log_arg(const struct vss_trace_event *te)
{
	switch (te->te_kind) {
	case VSS_TRACE_REQUEST:
	case VSS_TRACE_REPLY:
		return (log_host_op(te->te_arg));
	case VSS_TRACE_STATE:
		return (vss_engine_state_name(te->te_arg));
	case VSS_TRACE_EVENT:
		return (vss_engine_event_name(te->te_arg));
	case VSS_TRACE_NOTIFY:
	case VSS_TRACE_READ:
	case VSS_TRACE_WITHDRAWN:
	case VSS_TRACE_WRITE:
	case VSS_TRACE_SILENT:
		return (ckpt_client_op_name(te->te_arg));
	default:
		return (NULL);
	}
}

/* A name is printable ASCII: quote and backslash alone need care. */
static void
log_escape(const char *name, char *to)
{
	for (; *name != '\0'; name++) {
		if (*name == '"' || *name == '\\')
			*to++ = '\\';
		*to++ = *name;
	}
	*to = '\0';
}

/* Appends one event to buf, which has room for LOG_LINE bytes. */
static size_t
log_event(
    const struct vss_trace_event *te, const struct ckpt_client *who, char *buf)
{
	char name[2 * VSS_ENGINE_NAME_MAX];
	const char *arg = log_arg(te);
	int n;

	log_escape(who->cc_name, name);
	n = snprintf(buf, LOG_LINE,
	    "{\"t_ns\":%" PRIu64 ",\"who\":\"driver\",\"event\":\"%s\","
	    "\"client\":%u,\"name\":\"%s\",\"arg\":%u,\"id\":%" PRIu64
	    ",\"value\":%" PRIu64 "%s%s%s}\n",
	    te->te_ns, vss_trace_kind_name(te->te_kind), te->te_client, name,
	    te->te_arg, te->te_id, te->te_value,
	    arg != NULL ? ",\"op\":\"" : "", arg != NULL ? arg : "",
	    arg != NULL ? "\"" : "");
	VSS_ASSERT(n > 0 && n < LOG_LINE);
	return ((size_t)n);
}

static bool
log_write(int fd, const char *buf, size_t len)
{
	ssize_t n;

	for (; len > 0; buf += n, len -= (size_t)n) {
		n = write(fd, buf, len);
		if (n < 0 && errno == EINTR)
			n = 0;
		else if (n <= 0)
			return (false);
	}
	return (true);
}

/* The time of day may have been set since the last time. */
static void
log_clock(struct log *lg)
{
	struct timespec wall, boot;

	(void)clock_gettime(CLOCK_REALTIME, &wall);
	(void)clock_gettime(CLOCK_BOOTTIME, &boot);
	ckpt_digest_clock(&lg->lg_digest,
	    (uint64_t)wall.tv_sec * VSS_NS_PER_S + (uint64_t)wall.tv_nsec,
	    (uint64_t)boot.tv_sec * VSS_NS_PER_S + (uint64_t)boot.tv_nsec);
}

/* Appends what the trace holds to the file: 0, or an errno. */
static int
log_append(struct log *lg)
{
	static char buf[LOG_BATCH];
	struct vss_trace_event te;
	struct ckpt_client who;
	size_t used = 0;
	int fd;

	fd = open(lg->lg_path,
	    O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return (errno);
	while (vss_trace_get(&lg->lg_trace, &te)) {
		(void)log_who(lg, te.te_client, &who);
		used += log_event(&te, &who, buf + used);
		if (used > sizeof(buf) - LOG_LINE) {
			if (!log_write(fd, buf, used))
				return (errno);
			used = 0;
		}
	}
	return (log_write(fd, buf, used) && close(fd) == 0 ? 0 : errno);
}

/* What became of what was last written is told when that changes. */
static void
log_appended(struct log *lg, unsigned int ms)
{
	int error;

	if (lg->lg_writer.ap_pid == 0)
		return;
	error = apart_end(&lg->lg_writer, ms);
	if (error == -1)
		return;
	if (error != 0 && !lg->lg_failed)
		report(REPORT_WARNING, "%s: the trace cannot be written: %s",
		    lg->lg_path, strerror(error));
	lg->lg_failed = error != 0;
	if (lg->lg_missed != 0)
		report(REPORT_WARNING, "%s: %u events are not in it",
		    lg->lg_path, lg->lg_missed);
	lg->lg_missed = 0;
}

/*
 * The file is open only while it is written, and in a child: between
 * transactions nothing of ours is on a file system that may be frozen, and one
 * that somebody else has frozen holds nobody up.
 */
static void
log_file(struct log *lg)
{
	pid_t pid;

	log_appended(lg, 0);
	pid = apart_begin(&lg->lg_writer);
	if (pid == 0)
		_exit(log_append(lg));
	if (pid == -1)
		lg->lg_missed += lg->lg_trace.tr_count;
}

/* What the trace holds becomes checkpoints, and lines of the file. */
static void
log_drain(struct log *lg)
{
	struct vss_trace_event te;
	uint64_t seq = lg->lg_digest.dg_seq;
	struct ckpt_client who;
	const struct ckpt *ck;
	bool known;

	log_clock(lg);
	if (lg->lg_path != NULL)
		log_file(lg);
	while (vss_trace_get(&lg->lg_trace, &te)) {
		known = log_who(lg, te.te_client, &who);
		ckpt_digest_event(&lg->lg_digest, &te, known ? &who : NULL);
	}
	log_appended(lg, LOG_MOMENT_MS);
	if (lg->lg_trace.tr_lost != lg->lg_told)
		report(REPORT_WARNING, "%" PRIu64 " events were lost",
		    lg->lg_trace.tr_lost - lg->lg_told);
	lg->lg_told = lg->lg_trace.tr_lost;
	while (seq < lg->lg_digest.dg_seq)
		if ((ck = ckpt_digest_find(&lg->lg_digest, ++seq)) != NULL)
			log_checkpoint(ck);
}

void
log_init(struct log *lg, const struct vss_engine *e, uint32_t nslots,
    const char *path)
{
	struct timespec now;

	lg->lg_engine = e;
	lg->lg_nslots = nslots;
	lg->lg_path = path;
	lg->lg_turned_away = 1;
	vss_trace_init(&lg->lg_trace, lg->lg_events, LOG_EVENTS);
	(void)clock_gettime(CLOCK_REALTIME, &now);
	ckpt_digest_init(&lg->lg_digest,
	    (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000);
}

/* Said when their number has doubled: whoever tries in a loop fills no log. */
static void
log_turned_away(struct log *lg, uint64_t n)
{
	if (n < lg->lg_turned_away)
		return;
	lg->lg_turned_away = 2 * n;
	report(REPORT_WARNING,
	    "%" PRIu64 " opens were turned away so far: the file-system device "
	    "is open, or too many applications are (settings max_clients and "
	    "max_clients_per_uid)",
	    n);
}

void
log_turn(struct log *lg)
{
	const struct vss_engine *e = lg->lg_engine;
	struct vss_engine_status es;
	char why[REPORT_LINE_MAX];

	vss_engine_status(e, &es);
	if (es.es_frozen)
		report_hold();
	if (es.es_lost && !lg->lg_lost) {
		ckpt_digest_lost(&lg->lg_digest, &e->e_lost_why);
		ckpt_reason(&e->e_lost_why, why, sizeof(why));
		report(REPORT_WARNING, "the hold was lost: %s", why);
	}
	lg->lg_lost = es.es_lost;
	log_turned_away(lg, es.es_turned_away);
	if (es.es_frozen)
		return;
	report_release();
	/* Nor between the stages of a request: writing takes its time. */
	if (lg->lg_trace.tr_count > 0 &&
	    vss_engine_deadline(e) == VSS_ENGINE_NEVER)
		log_drain(lg);
}
