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
#include <unistd.h>

#include "report.h"

#define LOG_BATCH 16384 /* bytes written at once */
#define LOG_LINE  512	/* the longest line of the trace file */

/* What the administrator can do about a failure. */
static const char *const log_remedies[VSS_ENGINE_NCAUSES] = {
	[VSS_ENGINE_CAUSE_NO_DAEMON] = "start hv_vss_daemon",
	[VSS_ENGINE_CAUSE_SILENT] = "see that it runs and is not stopped; its "
				    "limit is a setting, and so is "
				    "apps=besteffort",
	[VSS_ENGINE_CAUSE_HOLD_EXPIRED] = "the host's snapshot takes longer "
					  "than the setting hold",
	[VSS_ENGINE_CAUSE_LIMIT] = "the setting of that name is the limit",
	[VSS_ENGINE_CAUSE_STUCK_UNDO] = "see what hv_vss_daemon says of the "
					"file system that does not thaw",
};

static const char *
log_client_op(uint32_t op)
{
	switch (op) {
	case VSS_ENGINE_CHECK:
		return ("check");
	case VSS_ENGINE_FREEZE:
		return ("freeze");
	case VSS_ENGINE_THAW:
		return ("thaw");
	case VSS_ENGINE_PREPARE:
		return ("prepare");
	default:
		return ("none");
	}
}

/* Why, who, in whose words, and what to do; into text of REPORT_LINE_MAX. */
static void
log_reason(const struct vss_engine_reason *er, char *text)
{
	const char *remedy = NULL;
	char who[128] = "";

	if ((unsigned)er->er_cause < VSS_ENGINE_NCAUSES)
		remedy = log_remedies[er->er_cause];
	if (er->er_client != 0)
		snprintf(who, sizeof(who),
		    "%s %s (pid %" PRIu64 "), asked to %s, ",
		    er->er_kind == VSS_ENGINE_FS ? "the freeze daemon" :
						   "application",
		    er->er_name[0] != '\0' ? er->er_name : "without a name",
		    er->er_pid, log_client_op(er->er_op));
	snprintf(text, REPORT_LINE_MAX, "%s%s%s%s%s%s%s", who,
	    vss_engine_cause_text(er->er_cause),
	    er->er_text[0] != '\0' ? ": \"" : "", er->er_text,
	    er->er_text[0] != '\0' ? "\"" : "", remedy != NULL ? "; " : "",
	    remedy != NULL ? remedy : "");
}

static const char *
log_consistency(const struct log *lg)
{
	return (lg->lg_napps > 0 && lg->lg_nstale == 0 ?
		"application consistent" :
		"file-system consistent only");
}

static void
log_success(struct log *lg, const struct vss_engine_reply *ey, const char *op,
    double ms)
{
	char stale[64] = "";

	switch (ey->ey_op) {
	case VSS_WIRE_FREEZE:
		lg->lg_napps = ey->ey_napps;
		lg->lg_nstale = ey->ey_nstale;
		/* FALLTHROUGH */
	case VSS_WIRE_THAW:
		if (lg->lg_nstale > 0)
			snprintf(stale, sizeof(stale),
			    ", %u not waited for (silent before)",
			    lg->lg_nstale);
		report(REPORT_NOTICE,
		    "%s: ok in %.1f ms; %u application%s%s; %s", op, ms,
		    lg->lg_napps, lg->lg_napps == 1 ? "" : "s", stale,
		    log_consistency(lg));
		break;
	case VSS_WIRE_CHECK_HOT_BACKUP:
		report(REPORT_NOTICE, "%s: ok in %.1f ms", op, ms);
		break;
	default:
		report(REPORT_DEBUG, "%s: ok in %.1f ms", op, ms);
		break;
	}
}

void
log_reply(struct log *lg, const struct vss_engine_reply *ey)
{
	char why[REPORT_LINE_MAX];
	const char *op;
	double ms;

	ms = (double)(ey->ey_answered_ns - ey->ey_arrived_ns) / VSS_NS_PER_MS;
	op = ey->ey_negotiate ? "NEGOTIATE" : vss_wire_op_name(ey->ey_op);
	if (ey->ey_negotiate && ey->ey_status == VMBUS_ICMSG_S_OK) {
		report(REPORT_DEBUG, "%s: ok", op);
	} else if (ey->ey_status == VMBUS_ICMSG_S_OK) {
		log_success(lg, ey, op, ms);
	} else {
		log_reason(&ey->ey_reason, why);
		report(REPORT_WARNING, "%s: failed after %.1f ms: %s", op, ms,
		    why);
	}
}

void
log_closing(struct log *lg, uint32_t slot)
{
	const struct vss_engine_client *cl = &lg->lg_engine->e_clients[slot];
	struct log_client *lc;

	lc = &lg->lg_clients[lg->lg_next_client++ % LOG_CLIENTS];
	lc->lc_serial = cl->cl_serial;
	memcpy(lc->lc_name, cl->cl_name, sizeof(lc->lc_name));
}

static const char *
log_name(const struct log *lg, uint32_t serial)
{
	const struct vss_engine_client *cl = lg->lg_engine->e_clients;
	uint32_t i;

	if (serial == 0)
		return ("");
	for (i = 0; i < lg->lg_nslots; i++)
		if (cl[i].cl_serial == serial)
			return (cl[i].cl_name);
	for (i = 0; i < LOG_CLIENTS; i++)
		if (lg->lg_clients[i].lc_serial == serial)
			return (lg->lg_clients[i].lc_name);
	return ("");
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
		return (log_client_op(te->te_arg));
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
log_event(const struct log *lg, const struct vss_trace_event *te, char *buf)
{
	char name[2 * VSS_ENGINE_NAME_MAX];
	const char *arg = log_arg(te);
	int n;

	log_escape(log_name(lg, te->te_client), name);
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

/*
 * The file is open only while it is written: between transactions nothing of
 * ours is on a file system that may be frozen.
 */
static void
log_drain(struct log *lg)
{
	static char buf[LOG_BATCH];
	struct vss_trace_event te;
	size_t used = 0;
	bool ok;
	int fd;

	fd = open(lg->lg_path,
	    O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	ok = fd >= 0;
	while (vss_trace_get(&lg->lg_trace, &te)) {
		if (!ok)
			continue;
		used += log_event(lg, &te, buf + used);
		if (used > sizeof(buf) - LOG_LINE) {
			ok = log_write(fd, buf, used);
			used = 0;
		}
	}
	ok = ok && log_write(fd, buf, used);
	if (!ok && !lg->lg_failed)
		report(REPORT_WARNING, "%s: the trace cannot be written: %s",
		    lg->lg_path, strerror(errno));
	lg->lg_failed = !ok;
	if (fd >= 0)
		close(fd);
	if (lg->lg_trace.tr_lost != lg->lg_told)
		report(REPORT_WARNING, "%s: %" PRIu64 " events were lost",
		    lg->lg_path, lg->lg_trace.tr_lost - lg->lg_told);
	lg->lg_told = lg->lg_trace.tr_lost;
}

void
log_init(struct log *lg, const struct vss_engine *e, uint32_t nslots,
    const char *path)
{
	lg->lg_engine = e;
	lg->lg_nslots = nslots;
	lg->lg_path = path;
	lg->lg_turned_away = 1;
	vss_trace_init(&lg->lg_trace, lg->lg_events, LOG_EVENTS);
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
		log_reason(&e->e_lost_why, why);
		report(REPORT_WARNING, "the hold was lost: %s", why);
	}
	lg->lg_lost = es.es_lost;
	log_turned_away(lg, es.es_turned_away);
	if (es.es_frozen)
		return;
	report_release();
	/* Nor between the stages of a request: writing takes its time. */
	if (lg->lg_path != NULL && lg->lg_trace.tr_count > 0 &&
	    vss_engine_deadline(e) == VSS_ENGINE_NEVER)
		log_drain(lg);
}
