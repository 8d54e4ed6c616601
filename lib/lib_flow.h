/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * What a participant does next: which callback is due, which answer goes to the
 * driver, and that exactly one resume follows each quiesce.  No system call, no
 * clock, no allocation: events go in, and flow_next() gives one thing to do
 * after the other.
 *
 * One callback is under way at a time (fl_cur), from FLOW_CALL until its
 * answer.  A notification that comes meanwhile waits: an owed THAW in its own
 * place, of the others only the newest, as in the driver's own queue.
 *
 * Life of a quiesce: begun (fl_owes), answered with success (fl_held), broken
 * or refused (fl_due), resume begun (none of them).
 */

#ifndef _LIB_FLOW_H_
#define _LIB_FLOW_H_

#include <dev/hyperv/hv_vss_ext.h>
#include <stdbool.h>

#define FLOW_WRITES 4

enum flow_do {
	FLOW_NOTHING,
	FLOW_CALL,   /* the callback for fa_op, with fa_ticket */
	FLOW_CANCEL, /* nobody waits for the answer to fa_ticket */
	FLOW_WRITE   /* fa_op, fa_id, fa_status, fa_reason to the driver */
};

struct flow_act {
	enum flow_do fa_do;
	uint32_t fa_op;
	uint32_t fa_status;
	uint64_t fa_id;
	uint64_t fa_ticket;
	char fa_reason[HV_VSS_REASON_MAX]; /* empty: none */
};

struct flow_note {
	uint32_t fn_op; /* HV_VSS_NONE: there is none */
	uint64_t fn_id; /* 0: nobody waits for the answer */
};

/* All zero is the beginning.  The fields are lib_flow.c's own, but fl_held. */
struct flow {
	struct flow_note fl_cur;
	bool fl_cancel;	     /* it is to be cancelled */
	const char *fl_over; /* why its success does not count any more */
	uint64_t fl_ticket;  /* the last one given */
	struct flow_note fl_thaw;
	struct flow_note fl_note;
	bool fl_left; /* none of these comes any more */

	bool fl_owes; /* a quiesce was begun, its resume was not */
	bool fl_held; /* and it was answered with success, which lasts */
	bool fl_due;  /* its resume is due without a THAW */
	uint64_t fl_hold_id;
	uint64_t fl_hold_ticket;
	char fl_broke[HV_VSS_REASON_MAX]; /* why the THAW to come fails */

	struct flow_act fl_writes[FLOW_WRITES];
	unsigned fl_nwrites;
};

/* A notification was READ. */
void flow_notify(struct flow *fl, uint32_t op, uint64_t id);

/* A callback returned, or hv_vss_answer() was called; reason may be NULL. */
void flow_answer(
    struct flow *fl, uint64_t ticket, bool yes, const char *reason);

/* The driver did not take the success for FREEZE. */
void flow_rejected(struct flow *fl);

/* The longest hold has passed. */
void flow_expired(struct flow *fl, const char *reason);

/* The driver is gone, and with it every question. */
void flow_gone(struct flow *fl);

/* The program leaves: nothing is begun any more but a resume. */
void flow_leave(struct flow *fl);

/* The end: true if a resume is still due, which is now the caller's. */
bool flow_end(struct flow *fl);

/* Takes the next thing to do. */
void flow_next(struct flow *fl, struct flow_act *fa);

#endif /* _LIB_FLOW_H_ */
