/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * On FreeBSD no disk is known by the name that the host has for it, so that
 * every list of the host means all disks (lun_choose() says so).
 */

#include <string.h>

#include "lun.h"

int
lun_disks_read(struct lun_disks *ls, const char *root)
{
	(void)root;
	memset(ls, 0, sizeof(*ls));
	return (0);
}
