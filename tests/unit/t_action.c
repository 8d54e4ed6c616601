/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * What each action does, told step by step: in every situation everything that
 * can happen is made to happen, and the whole trace of it, with the replies and
 * the way back to idle, must be the one that data/walk has.  The rules behind
 * it are the simulator's and the explorer's; this says which change of the
 * engine changes what.  With WALK=FILE in its environment the program writes
 * what it sees to FILE: to be read, line by line, before it becomes the new
 * data/walk.
 */

#include "engine_fixture.h"
#include "stage.h"

static FILE *walk, *seen;
static uint32_t a, b, c;
static uint64_t last_id, last_state;
static char line[4096];

/* A broken invariant: awaited by the one case that breaks one. */
static const char *broken;
static bool may_break;

void
vss_port_assert_failed(const char *expr, const char *file, int at)
{
	if (!may_break) {
		print_error("%s:%d: %s\n", file, at, expr);
		abort();
	}
	broken = expr;
}

static const char *const op_names[] = { "-", "CHECK", "FREEZE", "THAW" };

static const char *
op_name(uint64_t op)
{
	return (op == PREPARE ? "PREPARE" : op < 4 ? op_names[op] : "?");
}

static const char *
who(uint32_t serial)
{
	return (serial == 0 ? "host" :
		serial == 1 ? "fs" :
		serial == 2 ? "a" :
		serial == 3 ? "b" :
		serial == 4 ? "c" :
			      "?");
}

static void __attribute__((format(printf, 1, 2))) tell(const char *fmt, ...)
{
	size_t len = strlen(line);
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(line + len, sizeof(line) - len, fmt, ap);
	va_end(ap);
	assert_true(strlen(line) + 1 < sizeof(line));
}

static const char *
request_name(uint64_t op)
{
	return (op == VSS_TRACE_NEGOTIATE ? "NEGOTIATE" :
					    vss_wire_op_name((uint8_t)op));
}

/* One event of the trace; its ids are those that the client got. */
static void
tell_event(const struct vss_trace_event *te)
{
	const char *name = who(te->te_client);

	assert_int_equal(te->te_ns, now);
	switch (te->te_kind) {
	case VSS_TRACE_REQUEST:
		assert_int_equal(te->te_id, last_xid);
		tell(" host:%s", request_name(te->te_arg));
		break;
	case VSS_TRACE_REPLY:
		tell(" =%s,%x", request_name(te->te_arg), (unsigned)te->te_id);
		break;
	case VSS_TRACE_STATE:
		assert_int_equal(te->te_id, last_state);
		last_state = te->te_arg;
		tell(" [%s]", vss_engine_state_name(te->te_arg));
		break;
	case VSS_TRACE_EVENT:
		assert_int_equal(te->te_id, 0);
		tell(" %s", vss_engine_event_name(te->te_arg));
		break;
	case VSS_TRACE_NOTIFY:
		tell(" %s<%s%s", name, op_name(te->te_arg),
		    te->te_id > last_id ? "" : "(again)");
		last_id = te->te_id;
		break;
	case VSS_TRACE_READ:
	case VSS_TRACE_SILENT:
	case VSS_TRACE_WITHDRAWN:
		tell(" %s:%s-%s%s", name, vss_trace_kind_name(te->te_kind),
		    op_name(te->te_arg), te->te_id != 0 ? "" : "(none)");
		break;
	case VSS_TRACE_WRITE:
		tell(" %s>%s,%u%s", name, op_name(te->te_arg),
		    (unsigned)te->te_value, te->te_id != 0 ? "" : "(none)");
		break;
	case VSS_TRACE_OPEN:
	case VSS_TRACE_TURNED_AWAY:
		assert_int_equal(te->te_id, 4711);
		/* FALLTHROUGH */
	default:
		tell(" %s:%s,%u,%u", name, vss_trace_kind_name(te->te_kind),
		    te->te_arg, (unsigned)(te->te_id < 100 ? te->te_id : 0));
		break;
	}
}

/* What the host got, and what its failures were laid to. */
static void
tell_replies(void)
{
	const struct vss_engine_reason *er = &last_reply.ey_reason;
	struct vss_engine_reason last;
	struct vss_engine_status es;
	bool failed;

	failed = false;
	while (vss_engine_reply(&eng, &last_reply)) {
		failed |= last_reply.ey_status != 0;
		if (last_reply.ey_status != 0)
			last = *er;
		assert_int_equal(last_reply.ey_answered_ns, now);
		assert_int_equal(er->er_pid, er->er_client != 0 ? 4711 : 0);
		if (er->er_client != 0) {
			assert_int_equal(er->er_kind,
			    er->er_client == 1 ? VSS_ENGINE_FS :
						 VSS_ENGINE_APP);
			assert_string_equal(er->er_name,
			    er->er_client == 1	   ? "daemon" :
				er->er_client == 2 ? "named" :
						     "app");
		}
		tell(" host<%s,%s",
		    request_name(last_reply.ey_negotiate ? VSS_TRACE_NEGOTIATE :
							   last_reply.ey_op),
		    last_reply.ey_status == 0 ? "ok" : "fail");
		if (last_reply.ey_status != 0)
			tell(",\"%s\",%s,%s%s",
			    vss_engine_cause_text(er->er_cause),
			    who(er->er_client), op_name(er->er_op),
			    er->er_text);
		else if (last_reply.ey_op == H_FREEZE)
			tell(",%u+%u", last_reply.ey_napps,
			    last_reply.ey_nstale);
		vss_engine_sent(&eng);
	}
	vss_engine_status(&eng, &es);
	if (failed)
		assert_memory_equal(&es.es_failure, &last, sizeof(last));
}

static void
tell_all(void)
{
	struct vss_trace_event te;
	uint64_t left;
	uint32_t slot;

	while (vss_trace_get(&trace, &te))
		tell_event(&te);
	tell_replies();
	while (vss_engine_wake(&eng, &slot))
		tell(" wake:%s", who(clients[slot].cl_serial));
	left = vss_engine_deadline(&eng);
	if (left != VSS_ENGINE_NEVER)
		tell(" due:%u", (unsigned)((left - now) / (10 * MS)));
}

/* Forgets what led here. */
static void
forget(void)
{
	struct vss_trace_event te;
	uint32_t slot;

	while (vss_trace_get(&trace, &te))
		;
	while (vss_engine_reply(&eng, &last_reply))
		vss_engine_sent(&eng);
	while (vss_engine_wake(&eng, &slot))
		;
	last_id = eng.e_last_id;
	last_state = eng.e_state;
	line[0] = '\0';
}

/*
 * Situations: a has level 10 and wants PREPARE, as the daemon does; b is a
 * plain application.
 */
static void
check_begun(void)
{
	(void)send(H_CHECK);
}

static void
apps_checked(void)
{
	check_begun();
	answer(a, CHECK, 0);
	answer(b, CHECK, 0);
}

static void
prepare_begun(void)
{
	(void)send(H_FREEZE);
}

static void
fs_prepared(void)
{
	prepare_begun();
	answer(fs, PREPARE, 0);
}

static void
a_prepared(void)
{
	prepare_begun();
	answer(a, PREPARE, 0);
}

static void
a_quiescing(void)
{
	a_prepared();
	answer(fs, PREPARE, 0);
}

static void
b_quiescing(void)
{
	a_quiescing();
	answer(a, FREEZE, 0);
}

static void
freezing(void)
{
	b_quiescing();
	answer(b, FREEZE, 0);
}

static void
holding(void)
{
	freezing();
	answer(fs, FREEZE, 0);
}

static void
thawing(void)
{
	holding();
	(void)send(H_THAW);
}

static void
thawing_twice(void)
{
	thawing();
	(void)send(H_THAW);
}

static void
b_resuming(void)
{
	thawing_twice();
	answer(fs, THAW, 0);
}

static void
a_resuming(void)
{
	b_resuming();
	answer(b, THAW, 0);
}

/* The daemon may still freeze when its time is over. */
static void
undo_fs(void)
{
	freezing();
	(void)get(fs, FREEZE);
	tick(10 * S);
}

static void
undo_apps(void)
{
	undo_fs();
	answer(fs, THAW, 0);
}

static void
undo_with_thaw_waiting(void)
{
	undo_fs();
	(void)send(H_THAW);
}

static void
undo_with_freeze_waiting(void)
{
	undo_apps();
	(void)send(H_FREEZE);
}

static void
lost_in_idle(void)
{
	holding();
	tick(60 * S);
	answer(fs, THAW, 0);
	answer(b, THAW, 0);
	answer(a, THAW, 0);
}

static void
idle(void)
{
}

/* b is not waited for, and has READ FREEZE while c was. */
static void
stale_told(void)
{
	c = open_app();
	clients[b].cl_stale = true;
	a_quiescing();
	answer(a, FREEZE, 0);
	(void)get(b, FREEZE);
	answer(c, FREEZE, 0);
}

static void
stale_resuming(void)
{
	stale_told();
	answer(fs, FREEZE, 0);
	(void)send(H_THAW);
	answer(fs, THAW, 0);
}

static void
stale_undo(void)
{
	stale_resuming();
	tick(9 * S);
	tick(1 * S);
}

static const struct {
	const char *name;
	void (*reach)(void);
} situations[] = {
#define X(f)          \
	{             \
#f, f \
	}
	X(idle),
	X(lost_in_idle),
	X(check_begun),
	X(apps_checked),
	X(prepare_begun),
	X(fs_prepared),
	X(a_prepared),
	X(a_quiescing),
	X(b_quiescing),
	X(freezing),
	X(holding),
	X(thawing),
	X(thawing_twice),
	X(b_resuming),
	X(a_resuming),
	X(undo_fs),
	X(undo_apps),
	X(undo_with_thaw_waiting),
	X(undo_with_freeze_waiting),
	X(stale_told),
	X(stale_resuming),
	X(stale_undo),
#undef X
};

/*
 * What can happen; false where it cannot.
 */
static bool
reads(uint32_t slot)
{
	uint64_t id;

	return (get_id(slot, &id) != NONE);
}

static bool
answers(uint32_t slot, uint32_t status)
{
	uint64_t id;
	uint32_t op;

	op = get_id(slot, &id);
	if (op == NONE)
		return (false);
	if (status != 0)
		vss_engine_reason(&eng, slot, " said no");
	assert_int_equal(put(slot, op, id, status), 0);
	return (true);
}

/* The last FREEZE that it acknowledged does not hold any more. */
static bool
breaks(uint32_t slot)
{
	uint64_t id;

	if (!clients[slot].cl_counted)
		return (false);
	for (id = eng.e_last_id; id > 0; id--)
		if (put(slot, FREEZE, id, 1) == 0)
			return (true);
	return (false);
}

static bool
deadline(uint64_t more)
{
	if (vss_engine_deadline(&eng) == VSS_ENGINE_NEVER)
		return (false);
	tell_all();
	now = vss_engine_deadline(&eng) + more;
	vss_engine_timer(&eng, now);
	return (true);
}

#define HAPPENINGS(X)                                               \
	X(check, (send(H_CHECK), true))                             \
	X(freeze, (send(H_FREEZE), true))                           \
	X(thaw, (send(H_THAW), true))                               \
	X(complete, (send(H_COMPLETE), true))                       \
	X(negotiate, (negotiate(), true))                           \
	X(lose_channel, (vss_engine_channel_lost(&eng, now), true)) \
	X(fs_answers, answers(fs, 0))                               \
	X(fs_refuses, answers(fs, 1))                               \
	X(fs_closes, (close_it(fs), true))                          \
	X(fs_reads_and_closes, reads(fs) && (close_it(fs), true))   \
	X(a_answers, answers(a, 0))                                 \
	X(a_refuses, answers(a, 1))                                 \
	X(a_closes, (close_it(a), true))                            \
	X(a_reads_and_closes, reads(a) && (close_it(a), true))      \
	X(a_breaks, breaks(a))                                      \
	X(b_answers, answers(b, 0))                                 \
	X(b_refuses, answers(b, 1))                                 \
	X(b_closes, (close_it(b), true))                            \
	X(b_reads_and_is_silent, reads(b) && deadline(0))           \
	X(a_and_b_break, breaks(a) && breaks(b))                    \
	X(deadline_and_a_refuses, deadline(0) && answers(a, 1))     \
	X(deadline, deadline(0))                                    \
	X(late_deadline, deadline(1000 * S))                        \
	X(two_deadlines, deadline(0) && deadline(0))

#define X(name, what)                \
	static bool can_##name(void) \
	{                            \
		return (what);       \
	}
HAPPENINGS(X)
#undef X

static const struct {
	const char *name;
	bool (*can)(void);
} happenings[] = {
#define X(name, what) { #name, can_##name },
	HAPPENINGS(X)
#undef X
};

/* Then everybody does what is asked, and the host ends what it began. */
static void
go_home(void)
{
	uint32_t i, slot;
	bool more;

	do {
		more = false;
		for (slot = 0; slot <= conf.ec_max_clients; slot++)
			if (clients[slot].cl_serial != 0)
				more |= answers(slot, 0);
		if (!more && eng.e_state == VSS_ENGINE_HOLDING) {
			(void)send(H_THAW);
			more = true;
		}
		tell_all();
	} while (more);
	for (i = 0; i < 20 && eng.e_state != VSS_ENGINE_IDLE; i++) {
		assert_true(deadline(0));
		tell_all();
	}
	assert_state("IDLE");
	/* Which of them is known for it, and whether the hold was lost. */
	(void)send(H_THAW);
	tell_all();
	for (slot = 0; slot <= conf.ec_max_clients; slot++)
		if (clients[slot].cl_serial != 0)
			tell(" %s:%u%s", who(clients[slot].cl_serial),
			    clients[slot].cl_silences,
			    clients[slot].cl_stale ? ",stale" : "");
}

static void
check_line(const char *situation, const char *happening)
{
	char is[sizeof(line) + 128], want[sizeof(is)];

	(void)snprintf(is, sizeof(is), "%s%s: %s:%s\n",
	    conf.ec_besteffort ? "besteffort " : "", situation, happening,
	    line);
	if (seen != NULL) {
		(void)fputs(is, seen);
		return;
	}
	assert_non_null(fgets(want, sizeof(want), walk));
	assert_string_equal(is, want);
}

static void
walk_all(bool besteffort)
{
	uint32_t h, i;

	for (i = 0; i < VSS_NELEM(situations); i++) {
		for (h = 0; h < VSS_NELEM(happenings); h++) {
			/* It differs in what silence means. */
			if (besteffort &&
			    strstr(happenings[h].name, "deadline") == NULL &&
			    strstr(happenings[h].name, "silent") == NULL)
				continue;
			vss_engine_conf_default(&conf);
			conf.ec_besteffort = besteffort;
			start();
			fs = open_fs();
			assert_int_equal(
			    vss_engine_hello(&eng, fs, "", 0, true), 0);
			a = open_level(10, true);
			b = open_app();
			situations[i].reach();
			forget();
			if (!happenings[h].can())
				continue;
			tell_all();
			tell(" ...");
			go_home();
			check_line(situations[i].name, happenings[h].name);
		}
	}
}

static void
everything_that_can_happen_goes_as_it_is_written(void **state)
{
	char path[512];

	(void)state;
	/* The data is beside this file. */
	(void)snprintf(path, sizeof(path), "%.*sdata/walk",
	    (int)(strrchr(__FILE__, '/') + 1 - __FILE__), __FILE__);
	walk = fopen(path, "r");
	assert_non_null(walk);
	if (getenv("WALK") != NULL)
		assert_non_null(seen = fopen(getenv("WALK"), "w"));
	walk_all(false);
	walk_all(true);
	if (seen != NULL)
		assert_int_equal(fclose(seen), 0);
	else
		assert_int_equal(fgetc(walk), EOF);
	(void)fclose(walk);
}

static void
an_event_in_an_impossible_state_is_a_broken_invariant(void **state)
{
	(void)state;
	start();
	may_break = true;
	broken = NULL;
	vss_stage_raise(&eng, VSS_ENGINE_EV_STAGE_DONE);
	may_break = false;
	assert_non_null(broken);
	assert_state("IDLE");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(
		    everything_that_can_happen_goes_as_it_is_written, setup),
		cmocka_unit_test_setup(
		    an_event_in_an_impossible_state_is_a_broken_invariant,
		    setup),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
