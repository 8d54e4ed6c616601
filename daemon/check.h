/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * hv_vss_daemon --check and hv_vssctl check: says what a backup would do,
 * without doing any of it.
 */

#ifndef _CHECK_H_
#define _CHECK_H_

#include <stdio.h>

#include "plan.h"

enum check_form {
	CHECK_TEXT,
	CHECK_LINES, /* the same, but a verdict only if it is a veto */
	CHECK_JSON
};

/*
 * Prints the plan: for people a line a mount and a closing one with the
 * verdict, or one JSON object.  Returns the exit status: 0 a backup would work
 * as far as the plan goes, 1 it would not, or the mount table cannot be read
 * (then there is only a line on err, and in JSON an object that says so).
 */
int check_print(
    const struct plan_policy *pp, enum check_form form, FILE *out, FILE *err);

#endif /* _CHECK_H_ */
