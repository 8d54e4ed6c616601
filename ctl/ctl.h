/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* What the commands of hv_vssctl share: the table's rows and the clock. */

#ifndef _CTL_H_
#define _CTL_H_

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define CTL_NS_PER_MS 1000000ULL

/* A command: one row of the table in hv_vssctl.c, one source file each. */
struct ctl_cmd {
	const char *cc_name;
	const char *cc_usage;		       /* its arguments */
	const char *cc_help;		       /* what it does, its options */
	int (*cc_main)(int argc, char **argv); /* gives the exit status */
};

int ctl_check_main(int argc, char **argv);
int ctl_history_main(int argc, char **argv);
int ctl_run_main(int argc, char **argv);
int ctl_status_main(int argc, char **argv);
int ctl_test_main(int argc, char **argv);
int ctl_thaw_main(int argc, char **argv);
int ctl_timeline_main(int argc, char **argv);

/* A whole number from 1 on and nothing else. */
bool ctl_number(const char *text, uint64_t *n);

/* Milliseconds of a clock that never goes back. */
uint64_t ctl_now_ms(void);

#endif /* _CTL_H_ */
