/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * What the host names of a recorded machine's disks, for the tests of the plan
 * on each system:
 *
 *	lun CONTROLLER:PORT:TARGET:LUN
 *	all TEXT	part of why such a list is not kept to
 */

#ifndef _NAMED_H_
#define _NAMED_H_

#include <stdio.h>
#include <string.h>

#include "lun.h"

struct named {
	struct hv_vss_luns nm_luns;
	struct lun_disks nm_disks;
	char *nm_all;
};

/* Takes a line, which must stay, if it is one of these. */
static inline bool
named_take(struct named *nm, char *line)
{
	struct hv_vss_lun *hl;
	char guid[GUID_TEXT];

	if (strncmp(line, "all ", 4) == 0) {
		nm->nm_all = line + 4;
		return (true);
	}
	if (strncmp(line, "lun ", 4) != 0)
		return (false);
	nm->nm_luns.hs_form = HV_VSS_LUNS_LIST;
	hl = &nm->nm_luns.hs_luns[nm->nm_luns.hs_count++];
	assert_int_equal(sscanf(line + 4, "%36[^:]:%hhu:%hhu:%hhu", guid,
			     &hl->hl_port, &hl->hl_target, &hl->hl_lun),
	    4);
	assert_true(guid_parse(guid, hl->hl_controller));
	return (true);
}

/*
 * The disks to be kept to, or NULL: which those are is found out on the
 * recorded machine, too.
 */
static inline const struct lun_disks *
named_choose(struct named *nm, const char *name, const char *root)
{
	char why[256];

	if (nm->nm_luns.hs_form == HV_VSS_LUNS_NONE)
		return (NULL);
	assert_int_equal(lun_disks_read(&nm->nm_disks, root), 0);
	if (lun_choose(&nm->nm_disks, &nm->nm_luns, why, sizeof(why)))
		return (&nm->nm_disks);
	if (nm->nm_all == NULL || strstr(why, nm->nm_all) == NULL)
		fail_msg("%s: all are taken, for %s", name, why);
	return (NULL);
}

/* Whether the plan must keep to the list. */
static inline bool
named_kept(const struct named *nm)
{
	return (nm->nm_luns.hs_form != HV_VSS_LUNS_NONE && nm->nm_all == NULL);
}

#endif /* _NAMED_H_ */
