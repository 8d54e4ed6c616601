/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* The command line of `hv_vssctl run`, looked at as a whole. */

#ifndef _CTL_RUN_ARGS_H_
#define _CTL_RUN_ARGS_H_

#include <dev/hyperv/hv_vss_ext.h>

#include "conf.h"

struct ctl_run_args {
	const char *ra_cmds[HV_VSS_PREPARE + 1]; /* by operation */
	const char *ra_coprocess;
	const char *ra_hooks; /* a directory */
	bool ra_vmware;
	const char *ra_device;
	struct hv_vss_hello ra_hello; /* name and level */
	uint64_t ra_timeout_ms;	      /* 0: not given */
	struct conf_args ra_conf;     /* the hooks' limits */
};

/*
 * Takes argv; argv[0] is what getopt_long(3) begins its messages with.  0, an
 * errno with one line in err, or -1: it has been said.
 */
int ctl_run_args(
    struct ctl_run_args *ra, int argc, char **argv, char *err, size_t errlen);

/* What the command does and what its options are. */
extern const char ctl_run_help[];

#endif /* _CTL_RUN_ARGS_H_ */
