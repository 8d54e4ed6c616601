/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The simulator's world: virtual time, the driver's loop around the engine, one
 * run from a seed, and the program.  Prints TAP, the failing seed first.
 */

#include <sys/wait.h>

#include <stdarg.h>
#include <time.h>
#include <unistd.h>

#include "sim.h"

#define STEPS	  1500
#define HEAL_NS	  (300 * S)
#define HEAL_STEP 20000

static struct sim world;

/* How a run is made: all of it is repeated by the same words. */
struct recipe {
	uint64_t rc_seed;
	uint64_t rc_steps;
	uint32_t rc_without; /* faults left out, a bit each */
	bool rc_verbose;
};

/* The run of this process; a failing one is shrunk by its first process. */
static struct recipe running = { 1, STEPS, 0, false };
static bool shrinking;

static void shrink(struct recipe *rc);

static const char *const fault_names[] = {
#define X(name) #name,
	SIM_FAULTS(X)
#undef X
};

uint64_t
sim_random(struct sim *s, uint64_t n)
{
	uint64_t z;

	/* splitmix64 */
	z = (s->s_rng += 0x9e3779b97f4a7c15ULL);
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	z ^= z >> 31;
	return (n == 0 ? 0 : z % n);
}

bool
sim_chance(struct sim *s, enum sim_fault f, uint32_t percent)
{
	if (!s->s_faults[f] || s->s_healed)
		return (false);
	return (sim_random(s, 100) < percent);
}

void
sim_say(struct sim *s, const char *fmt, ...)
{
	va_list ap;

	if (!s->s_verbose)
		return;
	printf("# %10.3f %-18s ", (double)(s->s_now / 1000) / 1e6,
	    vss_engine_state_name(s->s_engine.e_state));
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
}

void
sim_fail(struct sim *s, const char *what)
{
	uint32_t f;

	printf("%s seed %llu, step %llu, %s: %s\n# faults:",
	    shrinking ? "#" : "not ok 1 -", (unsigned long long)s->s_seed,
	    (unsigned long long)s->s_steps,
	    vss_engine_state_name(s->s_engine.e_state), what);
	for (f = 0; f < SIM_NFAULTS; f++)
		if (s->s_faults[f])
			printf(" %s", fault_names[f]);
	printf("\n");
	if (!shrinking) {
		shrinking = true;
		shrink(&running);
		printf("1..1\n");
	}
	fflush(stdout);
	_exit(1);
}

/* What core asks of its environment. */
void
vss_port_assert_failed(const char *expr, const char *file, int line)
{
	printf("# %s:%d: %s\n", file, line, expr);
	sim_fail(&world, "an assertion of the core failed");
}

enum vss_engine_state
sim_state(const struct sim *s)
{
	return (s->s_engine.e_state);
}

static void
serve_ring(struct sim *s)
{
	struct vmbus_ring_pkt rp;
	uint8_t *buf;
	bool signal;
	int error;

	while ((buf = vss_engine_rx_buf(&s->s_engine)) != NULL) {
		error = vmbus_ring_recv(
		    &s->s_guest_rx, &rp, buf, VMBUS_ICMSG_PKT_MAX, &signal);
		if (error == EAGAIN)
			break;
		if (error != 0)
			sim_fail(s, "the guest finds the ring corrupt");
		sim_oracle_read(s, rp.rp_xactid);
		vss_engine_rx(&s->s_engine, rp.rp_len, rp.rp_xactid, s->s_now);
		sim_oracle_taken(s, rp.rp_xactid);
	}
}

static void
send_replies(struct sim *s)
{
	struct vss_engine_reply ey;
	struct vmbus_ring_pkt rp = { 0 };
	bool signal;
	int error;

	while (vss_engine_reply(&s->s_engine, &ey)) {
		rp.rp_type = VMBUS_RING_INBAND;
		rp.rp_xactid = ey.ey_xactid;
		rp.rp_len = ey.ey_len;
		error = vmbus_ring_send(
		    &s->s_guest_tx, &rp, ey.ey_pkt, &signal);
		if (error == EAGAIN)
			break;
		if (error != 0)
			sim_fail(s, "the guest cannot send a reply");
		sim_oracle_reply(s, &ey);
		vss_engine_sent(&s->s_engine);
	}
}

/* The driver's loop, once: ring, timers, replies, wakes. */
void
sim_pump(struct sim *s)
{
	struct sim_app *sa;
	uint32_t slot;

	if (s->s_channel)
		serve_ring(s);
	if (vss_engine_deadline(&s->s_engine) <= s->s_now) {
		sim_oracle_timer(s);
		vss_engine_timer(&s->s_engine, s->s_now);
	}
	if (s->s_channel) {
		send_replies(s);
		serve_ring(s);
		send_replies(s);
	}
	while (vss_engine_wake(&s->s_engine, &slot)) {
		if (slot == 0 && s->s_daemon_next_ns == VSS_ENGINE_NEVER)
			s->s_daemon_next_ns = s->s_now + 1;
		for (sa = s->s_apps; sa < s->s_apps + SIM_APPS; sa++)
			if (sa->sa_open && sa->sa_slot == slot &&
			    sa->sa_next_ns == VSS_ENGINE_NEVER)
				sa->sa_next_ns = s->s_now + 1;
	}
}

static void
step(struct sim *s)
{
	uint64_t next, t;

	next = sim_actors_next(s);
	t = vss_engine_deadline(&s->s_engine);
	if (t < next)
		next = t;
	if (next > s->s_now)
		s->s_now = next;
	sim_actors_act(s);
	sim_pump(s);
	sim_oracle_step(s);
	s->s_steps++;
}

static void
start(struct sim *s, const struct recipe *rc)
{
	uint64_t seed = rc->rc_seed;
	uint32_t f;

	memset(s, 0, sizeof(*s));
	s->s_seed = s->s_rng = seed;
	s->s_verbose = rc->rc_verbose;
	s->s_now = 1000 * S;
	vss_engine_conf_default(&s->s_conf);
	s->s_conf.ec_max_clients = SIM_APPS + 2;
	s->s_conf.ec_besteffort = sim_random(s, 4) == 0;
	if (sim_random(s, 2) == 0) {
		s->s_conf.ec_check_ns = (1 + sim_random(s, 10)) * S;
		s->s_conf.ec_thaw_ns = (1 + sim_random(s, 10)) * S;
		s->s_conf.ec_thaw_fs_ns = (1 + sim_random(s, 100)) *
		    s->s_conf.ec_thaw_ns / 100;
		s->s_conf.ec_hold_ns = (1 + sim_random(s, 60)) * S;
	}
	/* A run has no fault, a few, or all of them. */
	for (f = 0; f < SIM_NFAULTS; f++) {
		s->s_faults[f] = seed % 8 != 0 &&
		    (seed % 8 == 1 || sim_random(s, 5) == 0);
		if ((rc->rc_without & 1U << f) != 0)
			s->s_faults[f] = false;
	}
	vss_trace_init(&s->s_trace, s->s_events, VSS_NELEM(s->s_events));
	if (vss_engine_init(
		&s->s_engine, &s->s_conf, s->s_clients, &s->s_trace) != 0)
		sim_fail(s, "the engine refuses its limits");
	sim_actors_start(s);
}

static void
run(struct sim *s, const struct recipe *rc)
{
	uint64_t i, until;

	start(s, rc);
	for (i = 0; i < rc->rc_steps; i++)
		step(s);
	/* Then nothing goes wrong any more, and all must come right. */
	sim_say(s, "healed");
	s->s_healed = true;
	until = s->s_now + HEAL_NS;
	for (i = 0; s->s_now < until; i++) {
		if (i == HEAL_STEP)
			sim_fail(s, "it does not come to rest");
		step(s);
	}
	sim_oracle_end(s);
}

/* Runs it in a process of its own; whether it fails there. */
static bool
fails(const struct recipe *rc)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		if (!rc->rc_verbose)
			(void)!freopen("/dev/null", "w", stdout);
		run(&world, rc);
		_exit(0);
	}
	if (pid == -1 || waitpid(pid, &status, 0) == -1)
		return (false);
	return (status != 0);
}

/*
 * Makes a failing run shorter while it still fails: without one fault after
 * the other, then with half the steps, and tells what is left.
 */
static void
shrink(struct recipe *rc)
{
	struct recipe less;
	uint32_t f;

	for (f = 0; f < SIM_NFAULTS; f++) {
		less = *rc;
		less.rc_without |= 1U << f;
		if (fails(&less))
			*rc = less;
	}
	for (less = *rc; less.rc_steps > 1; less.rc_steps /= 2)
		if (!fails(&less))
			break;
		else
			*rc = less;
	rc->rc_verbose = true;
	printf("# the shortest that was found, without 0x%x, %llu steps:\n",
	    rc->rc_without, (unsigned long long)rc->rc_steps);
	(void)fails(rc);
}

int
main(int argc, char **argv)
{
	struct timespec a, b;
	struct recipe *rc = &running;
	uint64_t first, n, checkpoints, freezes, losses, steps;
	int ch;

	n = 1000;
	while ((ch = getopt(argc, argv, "n:s:v")) != -1) {
		if (ch == 'n')
			n = strtoull(optarg, NULL, 0);
		else if (ch == 's')
			rc->rc_seed = strtoull(optarg, NULL, 0);
		else if (ch == 'v')
			rc->rc_verbose = true;
		else {
			fprintf(stderr,
			    "usage: hv_vss_sim [-v] [-s seed] "
			    "[-n runs]\n");
			return (1);
		}
	}
	printf("# first seed %llu, %llu runs\n",
	    (unsigned long long)rc->rc_seed, (unsigned long long)n);
	first = rc->rc_seed;
	checkpoints = freezes = losses = steps = 0;
	clock_gettime(CLOCK_MONOTONIC, &a);
	for (; rc->rc_seed < first + n; rc->rc_seed++) {
		run(&world, rc);
		checkpoints += world.s_checkpoints;
		freezes += world.s_ok_freezes;
		losses += world.s_losses;
		steps += world.s_steps;
	}
	clock_gettime(CLOCK_MONOTONIC, &b);
	printf("# %llu steps, %llu checkpoints begun, %llu holds, %llu lost; "
	       "%.0f checkpoints a second\n",
	    (unsigned long long)steps, (unsigned long long)checkpoints,
	    (unsigned long long)freezes, (unsigned long long)losses,
	    (double)checkpoints /
		((double)(b.tv_sec - a.tv_sec) +
		    (double)(b.tv_nsec - a.tv_nsec) / 1e9));
	printf("ok 1 - every promise held in %llu runs from seed %llu\n1..1\n",
	    (unsigned long long)n, (unsigned long long)first);
	return (0);
}
