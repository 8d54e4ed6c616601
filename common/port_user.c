/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* What core/ asks of user space: the end of a process whose state is wrong. */

#include <stdio.h>
#include <stdlib.h>

#include "vss_port.h"

void
vss_port_assert_failed(const char *expr, const char *file, int line)
{
	fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, expr);
	abort();
}
