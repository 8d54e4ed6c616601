/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * What the cells of fsmatrix (fsmatrix.c) know of its children
 * (fsmatrix_children.c) and of the daemon with its freezers (fsmatrix_procs.c),
 * and where all of them note what went wrong.
 */

#ifndef _FSMATRIX_H_
#define _FSMATRIX_H_

#include <sys/types.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

#define MOUNTS_MAX 16
#define WAIT_MS	   60000

enum who { DAEMON, WORKER, GUARD, APP, HOST, MODULE, NWHO };
extern const char *const who_names[NWHO];

/* What processes tell each other; anonymous memory, which nothing freezes. */
struct board {
	atomic_uint bd_written[MOUNTS_MAX];
	atomic_char bd_answers[4];
	atomic_bool bd_ready; /* the application takes part */
	atomic_bool bd_held;  /* and is held at its step */
	atomic_uint bd_freezes, bd_thaws;
};
extern struct board *board;

extern int scale;
extern const char *daemon_path, *freezer_path;
extern char *const *mounts;
extern unsigned nmounts;
extern pid_t daemon_pid, app_pid, host_pid;
extern int app_go, host_go; /* to tell them */

/* Kept until nothing is frozen: put_out() prints it, and of a case that failed
 * what the daemon said. */
extern bool case_failed;
void note(const char *text, int line);
void put_out(void);
uint64_t now_ms(void);

#define CHECK(e)                            \
	do {                                \
		if (!(e))                   \
			note(#e, __LINE__); \
	} while (0)

#define UNTIL(e, ms)                                            \
	do {                                                    \
		for (uint64_t end_ = now_ms() + (uint64_t)(ms); \
		     !(e) && now_ms() < end_;)                  \
			usleep(10000);                          \
		CHECK(e);                                       \
	} while (0)

/* Limits of driver and daemon, times scale; begin with the module loaded. */
#define FS_MS	 (scale * 4000)
#define HOLD_MS	 (scale * 4000)
#define LEASE_MS (FS_MS + HOLD_MS + 5000) /* the guard's */
#define SLACK_MS (scale * 2000)
void set_limits(void);

/* Starts what takes part; each waits until it is ready. */
void start_board(void);
void start_writers(void);
void start_daemon(void);
void start_application(uint32_t held_at); /* of enum hv_vss_op_t */
void start_host(void);
void another_host(void); /* asks for THAW, and goes */
void tell(int go);	 /* the next thing */

/* SIGKILL, and its status is taken. */
void end_child(pid_t *pid, int *go);
void end_daemon(void); /* SIGTERM */
void end_writers(void);

/* Of dev.hvvssg.0; of trace the last line. */
long number(const char *name);
bool has_text(const char *name, const char *text);

/* Freezers there are; *pid is the one of our daemon's that has that role. */
int freezers(const char *role, pid_t *pid);
pid_t pid_of(enum who who);
bool daemon_is_complete(void); /* has the device, worker and guard */
bool has_ended(pid_t pid);
bool stands(pid_t pid);
void stop(pid_t pid);
bool hangs(pid_t pid); /* in the kernel, and not for orders */

/* Whether who writes to the mounts from one to before another stands still. */
bool nothing_is_written(unsigned from, unsigned to);
/* Notes which of those from the given one on are not, all in that time. */
void writable_within(unsigned from, int ms, int line);
#define WRITABLE_WITHIN(from, ms) writable_within(from, ms, __LINE__)

#endif /* _FSMATRIX_H_ */
