/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* Which disks a list of the host means (lun.h).  Knows no system. */

#include "lun.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(struct hv_vss_lun) == 24, "hv_vss_lun size");
_Static_assert(offsetof(struct hv_vss_lun, hl_controller) == 4 &&
	offsetof(struct hv_vss_lun, hl_port) == 20 &&
	offsetof(struct hv_vss_lun, hl_lun) == 22,
    "hv_vss_lun is the host's LunInfo");

/* The class of the controllers that Generation 1 machines start from. */
static const char lun_ide[] = "32412632-86cb-44a2-9b5c-50d1417354f5";

/* CONTROLLER:PORT:TARGET:LUN, as hv_vss_host takes it. */
#define LUN_TEXT (GUID_TEXT + 12)

static void
lun_text(const struct hv_vss_lun *hl, char text[LUN_TEXT])
{
	char guid[GUID_TEXT];

	guid_print(hl->hl_controller, guid);
	(void)snprintf(text, LUN_TEXT, "%s:%u:%u:%u", guid, hl->hl_port,
	    hl->hl_target, hl->hl_lun);
}

bool
lun_is_ide(const char *class)
{
	uint8_t ide[GUID_LEN], guid[GUID_LEN];

	return (guid_parse(lun_ide, ide) && guid_parse(class, guid) &&
	    memcmp(ide, guid, GUID_LEN) == 0);
}

/*
 * Disks of a SCSI controller have the target and number that the host gives
 * them.  Each of the IDE class is a device of its own, with number 0 and a
 * target that Linux makes up.
 */
static struct lun_disk *
lun_find(const struct lun_disks *ls, const struct hv_vss_lun *hl)
{
	struct lun_disk *ld;

	for (size_t i = 0; i < ls->ls_ndisks; i++) {
		ld = &ls->ls_disks[i];
		if (memcmp(ld->ld_controller, hl->hl_controller, GUID_LEN) ==
			0 &&
		    ld->ld_lun == hl->hl_lun &&
		    (ld->ld_ide || ld->ld_target == hl->hl_target))
			return (ld);
	}
	return (NULL);
}

/* Whether an entry has nothing in it that is not understood. */
static bool
lun_is_plain(const struct hv_vss_lun *hl)
{
	static const uint8_t none[sizeof(hl->hl_reserved)];

	return (hl->hl_port == 0 && hl->hl_reserved2 == 0 &&
	    memcmp(hl->hl_reserved, none, sizeof(none)) == 0);
}

/* Why a list as a whole cannot be used, or NULL. */
static const char *
lun_doubt(const struct hv_vss_luns *hs)
{
	if (hs->hs_form == HV_VSS_LUNS_NONE)
		return ("the host names no disks");
	if (hs->hs_form != HV_VSS_LUNS_LIST)
		return ("the host's list of disks has an unknown form");
	if (hs->hs_flags != 0)
		return ("the host's list of disks has unknown flags");
	if (hs->hs_count == 0)
		return ("the host's list of disks is empty");
	if (hs->hs_count > HV_VSS_LUNS_MAX)
		return ("the host's list of disks is too long");
	return (NULL);
}

bool
lun_choose(
    struct lun_disks *ls, const struct hv_vss_luns *hs, char *why, size_t len)
{
	const char *doubt = lun_doubt(hs);
	char text[LUN_TEXT];
	struct lun_disk *ld;

	for (size_t i = 0; i < ls->ls_ndisks; i++)
		ls->ls_disks[i].ld_named = false;
	if (doubt != NULL) {
		(void)snprintf(why, len, "%s", doubt);
		return (false);
	}
	for (uint32_t i = 0; i < hs->hs_count; i++) {
		ld = lun_find(ls, &hs->hs_luns[i]);
		if (ld == NULL || !lun_is_plain(&hs->hs_luns[i])) {
			lun_text(&hs->hs_luns[i], text);
			(void)snprintf(why, len,
			    ld == NULL ? "the host names disk %s, which is "
					 "not found here" :
					 "the host says of disk %s what is not "
					 "understood",
			    text);
			return (false);
		}
		ld->ld_named = true;
	}
	return (true);
}

void
lun_list(const struct lun_disks *ls, const struct hv_vss_luns *hs, char *text,
    size_t len)
{
	const struct lun_disk *ld;
	char name[LUN_TEXT];
	size_t used = 0;
	int n;

	text[0] = '\0';
	for (uint32_t i = 0; i < hs->hs_count && i < HV_VSS_LUNS_MAX; i++) {
		ld = lun_find(ls, &hs->hs_luns[i]);
		lun_text(&hs->hs_luns[i], name);
		n = snprintf(text + used, len - used, "%s%s",
		    i == 0 ? "" : ", ", ld != NULL ? ld->ld_name : name);
		if (n < 0 || (size_t)n >= len - used) {
			/* Whole names only. */
			text[used] = '\0';
			return;
		}
		used += (size_t)n;
	}
}

const struct lun_disk *
lun_disk_of(const struct lun_disks *ls, uint32_t major, uint32_t minor)
{
	for (size_t i = 0; i < ls->ls_ndisks; i++)
		if (ls->ls_disks[i].ld_major == major &&
		    ls->ls_disks[i].ld_minor == minor)
			return (&ls->ls_disks[i]);
	return (NULL);
}

void
lun_disks_free(struct lun_disks *ls)
{
	free(ls->ls_disks);
	memset(ls, 0, sizeof(*ls));
}
