/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * Messages: put into a ring under the lock, written to the kernel's log by a
 * task, because a console can take its time.  The kernel's log is memory; it is
 * for syslogd(8) to write it to a disk, which it may do after the thaw.
 */

#include "vssg_var.h"

#include <sys/syslog.h>

#define VSSG_REASON_MAX 512

static const char *
vssg_log_asked(uint32_t op)
{
	return (op == VSS_ENGINE_CHECK	 ? ", asked to check," :
		op == VSS_ENGINE_FREEZE	 ? ", asked to freeze," :
		op == VSS_ENGINE_THAW	 ? ", asked to thaw," :
		op == VSS_ENGINE_PREPARE ? ", asked to prepare," :
					   "");
}

void
vssg_log_reason(const struct vss_engine_reason *er, char *text, size_t cap)
{
	char who[128];

	who[0] = '\0';
	if (er->er_client != 0)
		snprintf(who, sizeof(who), "%s %s (pid %ju)%s ",
		    er->er_kind == VSS_ENGINE_FS ? "freeze daemon" :
						   "application",
		    er->er_name, (uintmax_t)er->er_pid,
		    vssg_log_asked(er->er_op));
	snprintf(text, cap, "%s%s%s%s", who,
	    vss_engine_cause_text(er->er_cause),
	    er->er_text[0] != '\0' ? ": " : "", er->er_text);
}

void
vssg_log(
    struct vssg *vs, enum vssg_line_kind kind, uint64_t value, const char *text)
{
	struct vssg_line *ln;

	mtx_assert(&vs->vs_mtx, MA_OWNED);
	if (vs->vs_nlines == VSSG_NLINES || vs->vs_tq == NULL) {
		vs->vs_nlines_lost++;
		return;
	}
	ln = &vs->vs_lines[(vs->vs_line + vs->vs_nlines) % VSSG_NLINES];
	vs->vs_nlines++;
	ln->ln_kind = kind;
	ln->ln_value = value;
	ln->ln_text = text;
	if (kind == VSSG_LINE_LOST)
		ln->ln_reply.ey_reason = vs->vs_engine.e_lost_why;
	taskqueue_enqueue(vs->vs_tq, &vs->vs_log_task);
}

/* CHECK, FREEZE and THAW are told, of the others what failed. */
void
vssg_log_reply(struct vssg *vs, const struct vss_engine_reply *ey)
{
	struct vssg_line *ln;
	uint32_t n = vs->vs_nlines;

	if (ey->ey_status == VMBUS_ICMSG_S_OK &&
	    (ey->ey_negotiate ||
		(ey->ey_op != VSS_WIRE_CHECK_HOT_BACKUP &&
		    ey->ey_op != VSS_WIRE_FREEZE &&
		    ey->ey_op != VSS_WIRE_THAW)))
		return;
	vssg_log(vs, VSSG_LINE_REPLY, 0, NULL);
	if (vs->vs_nlines == n)
		return;
	ln = &vs->vs_lines[(vs->vs_line + n) % VSSG_NLINES];
	ln->ln_reply = *ey;
	ln->ln_reply.ey_pkt = NULL;
}

void
vssg_log_turn(struct vssg *vs)
{
	struct vss_engine_status es;

	vss_engine_status(&vs->vs_engine, &es);
	if (es.es_lost && !vs->vs_lost)
		vssg_log(vs, VSSG_LINE_LOST, 0, NULL);
	vs->vs_lost = es.es_lost;
	/* When their number has doubled: who tries in a loop fills no log. */
	if (es.es_turned_away >= vs->vs_turned_away) {
		vs->vs_turned_away = 2 * es.es_turned_away;
		vssg_log(vs, VSSG_LINE_TURNED_AWAY, es.es_turned_away, NULL);
	}
}

static void
vssg_log_print_reply(const struct vss_engine_reply *ey)
{
	char why[VSSG_REASON_MAX];
	const char *op;
	uint64_t ms;

	ms = (ey->ey_answered_ns - ey->ey_arrived_ns) / VSS_NS_PER_MS;
	op = ey->ey_negotiate ? "NEGOTIATE" : vss_wire_op_name(ey->ey_op);
	if (ey->ey_status == VMBUS_ICMSG_S_OK) {
		log(LOG_NOTICE,
		    VSSG_NAME ": %s: ok in %ju ms; %u applications, %u not "
			      "waited for\n",
		    op, (uintmax_t)ms, ey->ey_napps, ey->ey_nstale);
		return;
	}
	vssg_log_reason(&ey->ey_reason, why, sizeof(why));
	log(LOG_WARNING, VSSG_NAME ": %s: failed after %ju ms: %s\n", op,
	    (uintmax_t)ms, why);
}

static void
vssg_log_print(const struct vssg *vs, const struct vssg_line *ln)
{
	char why[VSSG_REASON_MAX];

	switch (ln->ln_kind) {
	case VSSG_LINE_REPLY:
		vssg_log_print_reply(&ln->ln_reply);
		break;
	case VSSG_LINE_LOST:
		vssg_log_reason(&ln->ln_reply.ey_reason, why, sizeof(why));
		log(LOG_WARNING, VSSG_NAME ": the hold was lost: %s\n", why);
		break;
	case VSSG_LINE_TURNED_AWAY:
		log(LOG_WARNING,
		    VSSG_NAME ": %ju opens were turned away so far\n",
		    (uintmax_t)ln->ln_value);
		break;
	case VSSG_LINE_CHANNEL:
		log(LOG_ERR, VSSG_NAME ": %s\n", ln->ln_text);
		break;
	case VSSG_LINE_BROKEN:
		log(LOG_ERR,
		    VSSG_NAME ": %s:%d: this must not be: %s; backups fail "
			      "until " VSSG_MODULE " is loaded anew\n",
		    vs->vs_broken_file, vs->vs_broken_line, vs->vs_broken_expr);
		break;
	}
}

/* Lines are printed from a copy: their place may be filled again meanwhile. */
void
vssg_log_task(void *arg, int pending __unused)
{
	static struct vssg_line line;
	struct vssg *vs = arg;

	for (;;) {
		mtx_lock(&vs->vs_mtx);
		if (vs->vs_nlines == 0) {
			mtx_unlock(&vs->vs_mtx);
			return;
		}
		line = vs->vs_lines[vs->vs_line];
		vs->vs_line = (vs->vs_line + 1) % VSSG_NLINES;
		vs->vs_nlines--;
		mtx_unlock(&vs->vs_mtx);
		vssg_log_print(vs, &line);
	}
}
