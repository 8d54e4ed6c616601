/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * What happens when something is mounted, remounted or unmounted between the
 * plan and the freeze: everything is let go, and the request begins anew with a
 * plan of what is there now.  Once a file system is open it is pinned, and its
 * identity was checked, so that a plan that is out of date freezes nothing but
 * what it names; it may miss what is new.  Where mounts come and go without an
 * end, the last of a few plans is taken.
 */

#include <string.h>

#include "dm.h"
#include "fs.h"

#define DM_TRIES_MAX 5
/* How long a request waits for worker and guard to be started. */
#define DM_AGAIN_WAIT_NS (2 * DM_NS_PER_S)

static bool
dm_again_differs(struct dm *dm, bool failed)
{
	struct plan_policy pp;
	struct plan pn;
	char err[CONF_ERR_MAX];
	bool same;

	/* Other mount namespaces are not watched. */
	if (!fs_changed(dm->dm_mounts) && !failed)
		return (false);
	dm_txn_policy(dm, &pp);
	if (plan_make(&pn, &pp, err, sizeof(err)) != 0)
		return (true);
	same = plan_same(&dm->dm_txn.tx_plan, &pn);
	plan_free(&pn);
	return (!same);
}

bool
dm_again(struct dm *dm, bool failed)
{
	struct dm_txn *tx = &dm->dm_txn;

	/* What is to end has other worries. */
	if (tx->tx_failed || tx->tx_later.dq_opt != 0 ||
	    tx->tx_thaw.dq_opt != 0 || tx->tx_tries == DM_TRIES_MAX ||
	    !dm_again_differs(dm, failed))
		return (false);
	tx->tx_tries++;
	tx->tx_later = tx->tx_freeze.dq_opt != 0 ? tx->tx_freeze :
						   tx->tx_prepare;
	tx->tx_later_ns = frz_now_ns() + DM_AGAIN_WAIT_NS;
	memset(&tx->tx_freeze, 0, sizeof(tx->tx_freeze));
	memset(&tx->tx_prepare, 0, sizeof(tx->tx_prepare));
	report(REPORT_DEBUG, "mounts have changed; a new plan is made");
	dm_undo_release(dm);
	return (true);
}
