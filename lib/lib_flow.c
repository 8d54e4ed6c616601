/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* What a participant does next; lib_flow.h has the contract. */

#include <stdio.h>
#include <string.h>

#include "lib_flow.h"

static const char overtaken[] = "another request overtook it";

static void
put_reason(char *to, const char *reason)
{
	snprintf(to, HV_VSS_REASON_MAX, "%s", reason == NULL ? "" : reason);
}

/* More answers than there is room for cannot wait: the newest count. */
static void
put_write(
    struct flow *fl, const struct flow_note *fn, bool yes, const char *reason)
{
	struct flow_act *fa;

	if (fn->fn_id == 0)
		return;
	if (fl->fl_nwrites == FLOW_WRITES) {
		fl->fl_nwrites--;
		memmove(fl->fl_writes, fl->fl_writes + 1,
		    fl->fl_nwrites * sizeof(*fa));
	}
	fa = &fl->fl_writes[fl->fl_nwrites++];
	memset(fa, 0, sizeof(*fa));
	fa->fa_do = FLOW_WRITE;
	fa->fa_op = fn->fn_op;
	fa->fa_id = fn->fn_id;
	fa->fa_status = yes ? VSS_SUCCESS : VSS_FAIL;
	if (!yes)
		put_reason(fa->fa_reason, reason);
}

/* Nobody waits for what is under way; a resume is never cut short. */
static void
overtake(struct flow *fl, const char *why)
{
	if (fl->fl_cur.fn_op == HV_VSS_NONE ||
	    fl->fl_cur.fn_op == HV_VSS_THAW || fl->fl_over != NULL)
		return;
	fl->fl_cancel = true;
	fl->fl_over = why;
}

/* The answer to THAW says whether the rest lasted until it came. */
static void
write_thaw(
    struct flow *fl, const struct flow_note *fn, bool yes, const char *reason)
{
	bool broke = fl->fl_broke[0] != '\0';

	if (fn->fn_id == 0)
		return;
	put_write(fl, fn, yes && !broke, broke ? fl->fl_broke : reason);
	fl->fl_broke[0] = '\0';
}

static void
notify_thaw(struct flow *fl, uint64_t id)
{
	struct flow_note fn = { HV_VSS_THAW, id };

	/* What came before it and was not begun is over. */
	fl->fl_note.fn_op = HV_VSS_NONE;
	if (fl->fl_cur.fn_op == HV_VSS_THAW) {
		fl->fl_cur.fn_id = id;
	} else if (fl->fl_owes) {
		fl->fl_thaw = fn;
		overtake(fl, overtaken);
	} else {
		write_thaw(fl, &fn, true, NULL);
	}
}

void
flow_notify(struct flow *fl, uint32_t op, uint64_t id)
{
	struct flow_note fn = { op, id };

	switch (op) {
	case HV_VSS_THAW:
		notify_thaw(fl, id);
		break;
	case HV_VSS_CHECK:
	case HV_VSS_FREEZE:
	case HV_VSS_PREPARE:
		if (fl->fl_left)
			break;
		fl->fl_note = fn;
		overtake(fl, overtaken);
		break;
	default:
		put_write(fl, &fn, false, "this program does not know it");
		break;
	}
}

static void
answer_quiesce(struct flow *fl, bool yes, const char *reason)
{
	bool held = yes && fl->fl_over == NULL;

	fl->fl_held = held;
	fl->fl_due = !held;
	fl->fl_hold_id = fl->fl_cur.fn_id;
	fl->fl_hold_ticket = fl->fl_ticket;
	/* THAW was READ: that it is over is known. */
	if (fl->fl_thaw.fn_op == HV_VSS_NONE)
		put_write(fl, &fl->fl_cur, held, yes ? fl->fl_over : reason);
}

/* Success for FREEZE is taken back. */
static void
take_back(struct flow *fl, const char *reason)
{
	struct flow_note fn = { HV_VSS_FREEZE, fl->fl_hold_id };

	if (reason == NULL || reason[0] == '\0')
		reason = "it could not stay at rest";
	put_write(fl, &fn, false, reason);
	flow_expired(fl, reason);
}

void
flow_answer(struct flow *fl, uint64_t ticket, bool yes, const char *reason)
{
	struct flow_note *cur = &fl->fl_cur;

	if (cur->fn_op == HV_VSS_NONE || ticket != fl->fl_ticket) {
		if (fl->fl_held && ticket == fl->fl_hold_ticket && !yes)
			take_back(fl, reason);
		return;
	}
	if (cur->fn_op == HV_VSS_FREEZE)
		answer_quiesce(fl, yes, reason);
	else if (cur->fn_op == HV_VSS_THAW)
		write_thaw(fl, cur, yes, reason);
	else
		put_write(fl, cur, yes, reason);
	cur->fn_op = HV_VSS_NONE;
	fl->fl_cancel = false;
	fl->fl_over = NULL;
}

void
flow_rejected(struct flow *fl)
{
	if (fl->fl_held)
		flow_expired(fl, "its answer came too late");
}

void
flow_expired(struct flow *fl, const char *reason)
{
	if (!fl->fl_held)
		return;
	fl->fl_held = false;
	fl->fl_due = true;
	put_reason(fl->fl_broke, reason);
}

void
flow_gone(struct flow *fl)
{
	fl->fl_thaw.fn_op = fl->fl_note.fn_op = HV_VSS_NONE;
	fl->fl_cur.fn_id = 0;
	overtake(fl, overtaken);
	flow_expired(fl, "");
	fl->fl_broke[0] = '\0';
	fl->fl_nwrites = 0;
}

void
flow_leave(struct flow *fl)
{
	fl->fl_left = true;
	fl->fl_note.fn_op = HV_VSS_NONE;
	overtake(fl, "it left");
}

bool
flow_end(struct flow *fl)
{
	bool owes = fl->fl_owes;

	fl->fl_owes = fl->fl_held = fl->fl_due = false;
	fl->fl_cur.fn_op = HV_VSS_NONE;
	return (owes);
}

static void
call(struct flow *fl, const struct flow_note *fn, struct flow_act *fa)
{
	fl->fl_cur = *fn;
	fl->fl_cancel = false;
	fl->fl_over = NULL;
	fa->fa_do = FLOW_CALL;
	fa->fa_op = fn->fn_op;
	fa->fa_ticket = ++fl->fl_ticket;
	if (fn->fn_op == HV_VSS_FREEZE) {
		fl->fl_owes = true;
		fl->fl_broke[0] = '\0';
	} else if (fn->fn_op == HV_VSS_THAW) {
		fl->fl_owes = fl->fl_held = fl->fl_due = false;
		fl->fl_thaw.fn_op = HV_VSS_NONE;
	}
}

void
flow_next(struct flow *fl, struct flow_act *fa)
{
	static const struct flow_note unasked = { HV_VSS_THAW, 0 };
	struct flow_note fn;

	memset(fa, 0, sizeof(*fa));
	if (fl->fl_nwrites > 0) {
		*fa = fl->fl_writes[0];
		fl->fl_nwrites--;
		memmove(fl->fl_writes, fl->fl_writes + 1,
		    fl->fl_nwrites * sizeof(*fa));
	} else if (fl->fl_cancel) {
		fl->fl_cancel = false;
		fa->fa_do = FLOW_CANCEL;
		fa->fa_ticket = fl->fl_ticket;
	} else if (fl->fl_cur.fn_op != HV_VSS_NONE) {
		return;
	} else if (fl->fl_thaw.fn_op != HV_VSS_NONE) {
		fn = fl->fl_thaw;
		call(fl, &fn, fa);
	} else if (fl->fl_owes &&
	    (fl->fl_due || fl->fl_note.fn_op != HV_VSS_NONE)) {
		/* A new request: the driver has forgotten the last one. */
		call(fl, &unasked, fa);
	} else if (fl->fl_note.fn_op != HV_VSS_NONE) {
		fn = fl->fl_note;
		fl->fl_note.fn_op = HV_VSS_NONE;
		call(fl, &fn, fa);
	}
}
