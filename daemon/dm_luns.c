/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The disks that the host names with FREEZE: asked of the driver when a
 * transaction begins, kept to (lun_aware=on) when they are understood, and said
 * when it is over.
 */

#include <sys/ioctl.h>

#include <stdio.h>
#include <string.h>

#include "dm.h"

void
dm_luns_read(struct dm *dm)
{
	lun_disks_free(&dm->dm_disks);
	memset(&dm->dm_luns, 0, sizeof(dm->dm_luns));
	dm->dm_by_disk = false;
	if (dm->dm_fd == -1 || !dm->dm_ext ||
	    ioctl(dm->dm_fd, IOCHVVSSLUNS, &dm->dm_luns) == -1)
		memset(&dm->dm_luns, 0, sizeof(dm->dm_luns));
	if (dm->dm_luns.hs_form != HV_VSS_LUNS_NONE)
		(void)lun_disks_read(&dm->dm_disks, "");
	if (!dm->dm_policy->cf_lun_aware)
		return;
	dm->dm_by_disk = lun_choose(
	    &dm->dm_disks, &dm->dm_luns, dm->dm_all, sizeof(dm->dm_all));
}

const struct lun_disks *
dm_luns_disks(const struct dm *dm)
{
	return (dm->dm_by_disk ? &dm->dm_disks : NULL);
}

void
dm_luns_report(struct dm *dm)
{
	char list[HV_VSS_REASON_MAX];

	if (dm->dm_luns.hs_count != 0) {
		lun_list(&dm->dm_disks, &dm->dm_luns, list, sizeof(list));
		report(REPORT_DEBUG, "the host named %u disks: %s",
		    dm->dm_luns.hs_count, list);
	}
	if (!dm->dm_policy->cf_lun_aware || dm->dm_txn.tx_plan.pn_by_disk)
		return;
	if (dm->dm_by_disk)
		snprintf(dm->dm_all, sizeof(dm->dm_all),
		    "no file system is on a disk that the host names");
	report(REPORT_WARNING, "lun_aware: all file systems take part, for %s",
	    dm->dm_all);
}
