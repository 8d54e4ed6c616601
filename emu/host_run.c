/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * Does the script: makes and sends requests, waits for what each action waits
 * for, and gives up what does not come.  Whatever ends a run early, a guest
 * that may be frozen is sent THAW first if it can still be reached.
 */

#include <sys/wait.h>

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host.h"

#define RUN_NEVER     UINT64_MAX

#define RUN_FREEZE_NS (130 * VSS_NS_PER_S)
#define RUN_OTHER_NS  (15 * VSS_NS_PER_S)
#define RUN_RAW_NS    VSS_NS_PER_S	 /* for a reply, once it is sent */
#define RUN_LAST_NS   (5 * VSS_NS_PER_S) /* for THAW of an interrupted run */
#define RUN_KILL_NS   (2 * VSS_NS_PER_S) /* for a command to end by itself */
#define RUN_RETRY_NS  (10 * VSS_NS_PER_MS)

static bool
run_over(const struct host *ho)
{
	return (ho->ho_lost || ho->ho_signal != 0);
}

static bool
run_awaits(const struct host_req *hr)
{
	return (
	    hr->hr_state == HOST_REQ_WAITS || hr->hr_state == HOST_REQ_SENT);
}

static uint64_t
run_limit(const struct host *ho, enum host_op op)
{
	if (ho->ho_timeout_ns != 0)
		return (ho->ho_timeout_ns);
	return (op == HOST_FREEZE ? RUN_FREEZE_NS : RUN_OTHER_NS);
}

/* What the request waits for now, room or its reply, is waited for so long. */
static void
run_start_clock(const struct host *ho, struct host_req *hr)
{
	uint64_t ns;

	ns = hr->hr_limit_ns;
	if (hr->hr_state == HOST_REQ_SENT && hr->hr_op == HOST_RAW &&
	    ns > RUN_RAW_NS)
		ns = RUN_RAW_NS;
	hr->hr_deadline_ns = host_now() + ns;
	if (ho->ho_end_ns != 0 && hr->hr_deadline_ns > ho->ho_end_ns)
		hr->hr_deadline_ns = ho->ho_end_ns;
}

static uint8_t
run_wire_op(enum host_op op)
{
	switch (op) {
	case HOST_FREEZE:
		return (VSS_WIRE_FREEZE);
	case HOST_THAW:
		return (VSS_WIRE_THAW);
	case HOST_DM_INFO:
		return (VSS_WIRE_GET_DM_INFO);
	case HOST_COMPLETE:
		return (VSS_WIRE_BACKUP_COMPLETE);
	default:
		return (VSS_WIRE_CHECK_HOT_BACKUP);
	}
}

/* Writes a request's payload; returns its length. */
static uint32_t
run_encode(const struct host *ho, enum host_op op, uint8_t *pkt, uint32_t cap)
{
	static const struct vmbus_icmsg_agreed usual = { { 3, 0 }, { 5, 0 } };
	const struct vmbus_icmsg_agreed *agreed;
	struct vss_wire_request wr;

	if (op == HOST_NEGOTIATE)
		return (vmbus_icmsg_offer(pkt, cap, &host_versions));
	memset(&wr, 0, sizeof(wr));
	wr.wr_op = run_wire_op(op);
	if (op == HOST_FREEZE && ho->ho_nluns > 0) {
		wr.wr_form = VSS_WIRE_MESSAGE2;
		wr.wr_nluns = ho->ho_nluns;
	}
	agreed = ho->ho_agreed.ia_message.iv_major != 0 ? &ho->ho_agreed :
							  &usual;
	return (vss_wire_encode(pkt, cap, agreed, &wr, ho->ho_luns));
}

/* A new request at the end of the list. */
static struct host_req *
run_new_req(struct host *ho, enum host_op op, const struct host_action *raw)
{
	struct host_req **grown, *hr;
	uint8_t *pkt;
	uint32_t len;

	len = raw != NULL     ? raw->ha_raw_len :
	    op == HOST_FREEZE ? VMBUS_ICMSG_O_BODY + VSS_WIRE_MESSAGE2_BODY :
				64;
	grown = realloc(ho->ho_reqs, (ho->ho_nreqs + 1) * sizeof(*grown));
	if (grown != NULL)
		ho->ho_reqs = grown;
	/* The payload lies behind the structure. */
	hr = calloc(1, sizeof(*hr) + len);
	if (grown == NULL || hr == NULL) {
		free(hr);
		return (NULL);
	}
	pkt = (uint8_t *)(hr + 1);
	if (raw != NULL)
		memcpy(pkt, raw->ha_raw, len);
	else
		len = run_encode(ho, op, pkt, len);
	hr->hr_op = op;
	hr->hr_pkt = pkt;
	hr->hr_len = len;
	hr->hr_xactid = ho->ho_nreqs + 1;
	hr->hr_limit_ns = run_limit(ho, op);
	hr->hr_link = ho->ho_link;
	ho->ho_reqs[ho->ho_nreqs++] = hr;
	return (hr);
}

/*
 * Tries to send.  EAGAIN and EBUSY: the request waits as before, its clock
 * included.
 */
static int
run_try(struct host *ho, struct host_req *hr)
{
	uint64_t asked_ns;
	int error;

	/* The front end may answer at once, before it returns. */
	asked_ns = hr->hr_sent_ns;
	hr->hr_state = HOST_REQ_SENT;
	hr->hr_sent_ns = host_now();
	error = ho->ho_front->hf_send(ho->ho_front_arg, hr);
	if (error == EAGAIN || error == EBUSY) {
		hr->hr_state = HOST_REQ_WAITS;
		hr->hr_sent_ns = asked_ns;
		return (error);
	}
	if (error == EMSGSIZE) {
		hr->hr_state = HOST_REQ_UNSENT;
		host_warn(ho, "%s: %u bytes do not fit the ring",
		    host_op_name(hr->hr_op), hr->hr_len);
		host_result(ho, HOST_EXIT_USAGE);
	}
	run_start_clock(ho, hr);
	return (0);
}

static void
run_wake(struct host *ho)
{
	unsigned char sig;

	while (read(ho->ho_wakefd, &sig, 1) == 1) {
		if (sig == SIGCHLD) {
			host_child_reap(ho);
			continue;
		}
		ho->ho_nsignals++;
		if (ho->ho_signal == 0)
			ho->ho_signal = sig;
	}
}

/*
 * Sends what waits for room, in order, and gives up what is late.  The clock of
 * one that waits for an earlier one to be over stands: that one's runs.
 */
static void
run_requests(struct host *ho)
{
	struct host_req *hr;
	int error = 0; /* of the first that could not be sent */
	uint64_t i, now;

	now = host_now();
	for (i = ho->ho_first; i < ho->ho_nreqs; i++) {
		hr = ho->ho_reqs[i];
		if (hr->hr_state == HOST_REQ_WAITS && error == 0)
			error = run_try(ho, hr);
		if (hr->hr_state == HOST_REQ_WAITS && error == EBUSY)
			run_start_clock(ho, hr);
		if (run_awaits(hr) && now >= hr->hr_deadline_ns) {
			if (ho->ho_front->hf_cancel != NULL)
				ho->ho_front->hf_cancel(ho->ho_front_arg, hr);
			host_give_up(ho, hr);
		}
	}
	while (ho->ho_first < ho->ho_nreqs &&
	    !run_awaits(ho->ho_reqs[ho->ho_first]))
		ho->ho_first++;
}

/* When something must be looked at, at the latest. */
static uint64_t
run_deadline(const struct host *ho, uint64_t until)
{
	const struct host_req *hr;
	uint64_t i;

	for (i = ho->ho_first; i < ho->ho_nreqs; i++) {
		hr = ho->ho_reqs[i];
		if (!run_awaits(hr))
			continue;
		if (hr->hr_deadline_ns < until)
			until = hr->hr_deadline_ns;
		/* The guest need not say that there is room again. */
		if (hr->hr_state == HOST_REQ_WAITS &&
		    host_now() + RUN_RETRY_NS < until)
			until = host_now() + RUN_RETRY_NS;
	}
	return (until);
}

/* Waits until something happened or until has come, and deals with it. */
static void
run_pump(struct host *ho, uint64_t until)
{
	struct pollfd pfd[HOST_MAX_FDS];
	uint64_t now;
	nfds_t n;
	int ms;

	n = ho->ho_front->hf_pollfds(ho->ho_front_arg, pfd);
	pfd[n].fd = ho->ho_wakefd;
	pfd[n].events = POLLIN;
	until = run_deadline(ho, until);
	now = host_now();
	ms = -1;
	if (until <= now)
		ms = 0;
	else if (until != RUN_NEVER)
		ms = (int)((until - now) / VSS_NS_PER_MS + 1);
	if (poll(pfd, n + 1, ms) > 0) {
		run_wake(ho);
		ho->ho_front->hf_service(ho->ho_front_arg, pfd, n);
	}
	run_requests(ho);
}

/* Waits for a guest.  A run without one is over. */
static void
run_need_guest(struct host *ho)
{
	uint64_t until;

	until = host_now() + ho->ho_wait_ns;
	while (!run_over(ho) && !ho->ho_front->hf_ready(ho->ho_front_arg)) {
		if (host_now() >= until) {
			host_warn(ho, "%s (waited %.3g s)",
			    ho->ho_front->hf_absent(ho->ho_front_arg),
			    (double)ho->ho_wait_ns / 1e9);
			host_result(ho, HOST_EXIT_USAGE);
			ho->ho_lost = true;
		} else
			run_pump(ho, until);
	}
}

static void
run_await(struct host *ho, const struct host_req *hr)
{
	while (!run_over(ho) && run_awaits(hr))
		run_pump(ho, RUN_NEVER);
}

/* Makes a request and sends it.  NULL: the run is over. */
static struct host_req *
run_send(struct host *ho, enum host_op op, const struct host_action *raw)
{
	struct host_req *hr;

	hr = run_new_req(ho, op, raw);
	if (hr == NULL) {
		host_warn(NULL, "%s", strerror(ENOMEM));
		host_result(ho, HOST_EXIT_USAGE);
		ho->ho_lost = true;
		return (NULL);
	}
	hr->hr_n = ho->ho_n;
	if (ho->ho_hvutils &&
	    (op == HOST_NEGOTIATE || op == HOST_DM_INFO ||
		op == HOST_COMPLETE)) {
		/* The kernel behind that device answers these by itself. */
		hr->hr_sent_ns = host_now();
		host_done(ho, hr, VMBUS_ICMSG_S_OK);
		return (hr);
	}
	hr->hr_state = HOST_REQ_WAITS;
	hr->hr_sent_ns = host_now();
	run_start_clock(ho, hr);
	run_requests(ho);
	return (hr);
}

/* A guest, and versions agreed with it unless op is about to do that. */
static void
run_prepare(struct host *ho, enum host_op op)
{
	struct host_req *hr;
	uint32_t n;

	/* Whoever answers the stand-in's requests may come and go. */
	if (ho->ho_hvutils && ho->ho_negotiated != 0)
		return;
	run_need_guest(ho);
	if (run_over(ho) || ho->ho_negotiated == ho->ho_link)
		return;
	ho->ho_negotiated = ho->ho_link;
	if (ho->ho_hvutils || op == HOST_NEGOTIATE)
		return;
	n = ho->ho_n;
	ho->ho_n = 0;
	hr = run_send(ho, HOST_NEGOTIATE, NULL);
	ho->ho_n = n;
	if (hr == NULL)
		return;
	run_await(ho, hr);
	/* Without agreement nothing else can be asked. */
	if (!run_over(ho) && !hr->hr_ok)
		ho->ho_lost = true;
}

/* One request, its reply awaited.  Whether it was answered with success. */
static bool
run_request(struct host *ho, enum host_op op, const struct host_action *ha)
{
	struct host_req *hr;

	run_prepare(ho, op);
	if (run_over(ho))
		return (false);
	hr = run_send(ho, op, op == HOST_RAW ? ha : NULL);
	if (hr == NULL || (ha != NULL && ha->ha_async))
		return (false);
	run_await(ho, hr);
	return (hr->hr_state == HOST_REQ_DONE && hr->hr_ok);
}

static void
run_hold(struct host *ho, uint64_t ns)
{
	uint64_t until;

	until = host_now() + ns;
	while (!run_over(ho) && host_now() < until)
		run_pump(ho, until);
	if (!ho->ho_json && !run_over(ho)) {
		printf(
		    "%" PRIu32 " hold: %.0f ms\n", ho->ho_n, (double)ns / 1e6);
		fflush(stdout);
	}
}

/* Ends the command of a run that is over: first asked, then made to. */
static void
run_kill_command(struct host *ho)
{
	uint64_t until;

	host_child_kill(ho, SIGTERM);
	until = host_now() + RUN_KILL_NS;
	while (ho->ho_child != 0 && host_now() < until)
		run_pump(ho, until);
	host_child_kill(ho, SIGKILL);
	if (ho->ho_child != 0)
		waitpid(ho->ho_child, NULL, 0);
	ho->ho_child = 0;
}

static void
run_snapshot(struct host *ho, const char *cmd)
{
	uint64_t start;
	int error, status;

	start = host_now();
	error = host_child_start(ho, cmd);
	if (error != 0) {
		host_warn(NULL, "snapshot: /bin/sh: %s", strerror(error));
		host_result(ho, HOST_EXIT_CMD);
		return;
	}
	while (!run_over(ho) && ho->ho_child != 0)
		run_pump(ho, RUN_NEVER);
	if (ho->ho_child != 0)
		return; /* run_finish() ends it, after THAW */
	status = ho->ho_child_status;
	if (!ho->ho_json) {
		printf("%" PRIu32 " snapshot: %s, %.1f ms\n", ho->ho_n,
		    status == 0 ? "ok" : "fail",
		    (double)(host_now() - start) / 1e6);
		fflush(stdout);
	}
	if (status == 0)
		return;
	host_result(ho, HOST_EXIT_CMD);
	if (WIFSIGNALED(status))
		host_warn(NULL, "snapshot: the command died of signal %d: %s",
		    WTERMSIG(status), cmd);
	else
		host_warn(NULL, "snapshot: the command exited with %d: %s",
		    WEXITSTATUS(status), cmd);
}

/* THAW is sent whatever happened before it; so is what follows it. */
static void
run_checkpoint(struct host *ho, const char *cmd)
{
	run_request(ho, HOST_CHECK, NULL);
	if (run_request(ho, HOST_FREEZE, NULL))
		run_snapshot(ho, cmd);
	run_request(ho, HOST_THAW, NULL);
	run_request(ho, HOST_COMPLETE, NULL);
}

static void
run_collect(struct host *ho)
{
	run_requests(ho);
	while (!run_over(ho) && ho->ho_first < ho->ho_nreqs)
		run_pump(ho, RUN_NEVER);
}

/* What was asked over a channel that is no more is never answered. */
static void
run_rescind(struct host *ho)
{
	uint64_t i;

	ho->ho_front->hf_rescind(ho->ho_front_arg);
	for (i = ho->ho_first; i < ho->ho_nreqs; i++)
		if (run_awaits(ho->ho_reqs[i]))
			host_give_up(ho, ho->ho_reqs[i]);
	ho->ho_first = ho->ho_nreqs;
	ho->ho_rescinded = ho->ho_nreqs;
}

static void
run_action(struct host *ho, const struct host_action *ha)
{
	switch (ha->ha_op) {
	case HOST_HOLD:
		run_hold(ho, ha->ha_ns);
		break;
	case HOST_SNAPSHOT:
		run_snapshot(ho, ha->ha_cmd);
		break;
	case HOST_CHECKPOINT:
		run_checkpoint(ho, ha->ha_cmd);
		break;
	case HOST_WAIT:
		run_collect(ho);
		break;
	case HOST_RESCIND:
		run_rescind(ho);
		break;
	default:
		run_request(ho, ha->ha_op, ha);
		break;
	}
}

/* The VSS operation that a packet asks for, also a raw one's; or -1. */
static int
run_asks_for(const struct host_req *hr)
{
	struct vmbus_icmsg im;

	if (vmbus_icmsg_decode(hr->hr_pkt, hr->hr_len, &im) != 0 ||
	    im.im_type != VMBUS_ICMSG_VSS || im.im_len <= VMBUS_ICMSG_O_BODY)
		return (-1);
	return (hr->hr_pkt[VMBUS_ICMSG_O_BODY]);
}

/*
 * Whether a FREEZE may have been done and no THAW after it.  A guest that could
 * not freeze has undone that one by itself, and what it had frozen before is
 * as it was.
 */
static bool
run_may_be_frozen(const struct host *ho)
{
	const struct host_req *hr;
	uint64_t i;
	int op;

	for (i = ho->ho_nreqs; i-- > ho->ho_rescinded;) {
		hr = ho->ho_reqs[i];
		if (hr->hr_state == HOST_REQ_UNSENT ||
		    (hr->hr_state == HOST_REQ_DONE && !hr->hr_ok))
			continue;
		op = run_asks_for(hr);
		if (op == VSS_WIRE_FREEZE)
			return (true);
		if (op == VSS_WIRE_THAW &&
		    (hr->hr_state == HOST_REQ_SENT ||
			hr->hr_state == HOST_REQ_DONE))
			return (false);
	}
	return (false);
}

/* An interrupted run lets the guest go before it ends. */
static void
run_finish(struct host *ho)
{
	struct host_req *hr;
	int sig;

	sig = ho->ho_signal;
	if (sig != 0) {
		host_warn(ho, "interrupted by %s",
		    sig == SIGINT     ? "SIGINT" :
			sig == SIGHUP ? "SIGHUP" :
					"SIGTERM");
		host_result(ho, HOST_EXIT_USAGE);
	}
	if (sig != 0 && !ho->ho_lost && run_may_be_frozen(ho) &&
	    ho->ho_front->hf_ready(ho->ho_front_arg)) {
		ho->ho_signal = 0;
		ho->ho_end_ns = host_now() + RUN_LAST_NS;
		hr = run_send(ho, HOST_THAW, NULL);
		if (hr != NULL)
			run_await(ho, hr);
	}
	if (ho->ho_child != 0)
		run_kill_command(ho);
}

void
host_run(struct host *ho)
{
	uint32_t i;

	run_prepare(ho, ho->ho_actions[0].ha_op);
	for (i = 0; i < ho->ho_nactions && !run_over(ho); i++) {
		ho->ho_n = i + 1;
		run_action(ho, &ho->ho_actions[i]);
	}
	run_collect(ho);
	run_finish(ho);
}

void
host_reqs_free(struct host *ho)
{
	uint64_t i;

	for (i = 0; i < ho->ho_nreqs; i++)
		free(ho->ho_reqs[i]);
	free(ho->ho_reqs);
	ho->ho_reqs = NULL;
	ho->ho_nreqs = 0;
}
