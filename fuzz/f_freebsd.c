/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * FreeBSD's side of the plan: the input is a machine in the form of
 * tests/unit/data/freebsd (fbsd_machine.h; set; lun, a disk that the host
 * names; other lines are left out), which exists in memory alone.  Whatever it
 * is, the plan is sound (fuzz_plan.h), and nothing is left alone that has a
 * disk below it that is named, or that the host cannot name.
 */

#include "fuzz.h"
#include "plan.c"

#define FBSD_CHECK(e) FUZZ_CHECK(e)
#include "fbsd_machine.h"
#define LINES_MAX FBSD_MOUNTS
#include "fuzz_plan.h"

static struct {
	char *ma_text;
	struct conf ma_conf;
	struct plan_policy ma_policy;
	struct hv_vss_luns ma_luns;
	struct lun_disks ma_disks;
} ma;

static void
add_lun(const char *text)
{
	struct hv_vss_lun *hl = &ma.ma_luns.hs_luns[ma.ma_luns.hs_count];
	char guid[GUID_TEXT];

	if (ma.ma_luns.hs_count < HV_VSS_LUNS_MAX &&
	    sscanf(text, "%36[^:]:%hhu:%hhu:%hhu", guid, &hl->hl_port,
		&hl->hl_target, &hl->hl_lun) == 4 &&
	    guid_parse(guid, hl->hl_controller))
		ma.ma_luns.hs_count++;
	ma.ma_luns.hs_form = HV_VSS_LUNS_LIST;
}

static void
add_line_of(char *line)
{
	char err[CONF_ERR_MAX];

	if (fbsd_take(line) != 0)
		return;
	if (strncmp(line, "lun ", 4) == 0)
		add_lun(line + 4);
	else if (strncmp(line, "set ", 4) == 0)
		(void)conf_set(&ma.ma_conf, line + 4, err, sizeof(err));
}

/* Whether the host names it, or cannot. */
static bool
is_named(const struct fs_device *fv)
{
	const struct lun_disk *ld = lun_disk_of(
	    &ma.ma_disks, fv->fv_major, fv->fv_minor);

	return (ld == NULL || ld->ld_named);
}

static void
check_named(const struct plan *pn)
{
	static const char left[] =
	    "on no disk that the host is about to snapshot, and lun_aware=on";
	const struct making *mk = pn->pn_memory;
	const struct fs_system *fy;

	if (!pn->pn_by_disk)
		return;
	for (unsigned int fs = 0; fs < mk->mk_ft.ft_nfs; fs++) {
		fy = &mk->mk_ft.ft_fs[fs];
		if (strcmp(mk->mk_verdicts[fs].vd_reason, left) != 0)
			continue;
		FUZZ_CHECK(fy->fy_ground == FS_GROUND_KNOWN);
		for (unsigned int d = 0; d < fy->fy_ndevices; d++)
			FUZZ_CHECK(!fy->fy_devices[d].fv_hardware ||
			    !is_named(&fy->fy_devices[d]));
	}
}

static void
read_disks(void)
{
	char why[256];

	FUZZ_CHECK(lun_disks_read(&ma.ma_disks, "") == 0);
	for (size_t i = 0; i < ma.ma_disks.ls_ndisks; i++)
		fuzz_check_text(ma.ma_disks.ls_disks[i].ld_name);
	if (lun_choose(&ma.ma_disks, &ma.ma_luns, why, sizeof(why)))
		ma.ma_policy.pp_disks = &ma.ma_disks;
	else
		fuzz_check_text(why);
	lun_list(&ma.ma_disks, &ma.ma_luns, why, sizeof(why));
	/* Not left open. */
	if (fbsd_machine.fm_xpt_fd > 0)
		FUZZ_CHECK(fcntl(fbsd_machine.fm_xpt_fd, F_GETFD) == -1);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char err[256] = "", *line, *save;
	struct plan pn;

	memset(&ma, 0, sizeof(ma));
	memset(&fbsd_machine, 0, sizeof(fbsd_machine));
	ma.ma_text = fuzz_exact(size + 1);
	conf_default(&ma.ma_conf);
	memcpy(ma.ma_text, data, size);
	for (line = strtok_r(ma.ma_text, "\n", &save); line != NULL;
	     line = strtok_r(NULL, "\n", &save))
		add_line_of(line);
	plan_policy_set(&ma.ma_policy, &ma.ma_conf);
	read_disks();
	if (plan_make(&pn, &ma.ma_policy, err, sizeof(err)) == 0) {
		fuzz_check_plan(&pn);
		check_named(&pn);
	} else
		fuzz_check_text(err);
	plan_free(&pn);
	lun_disks_free(&ma.ma_disks);
	conf_free(&ma.ma_conf);
	free(ma.ma_text);
	return (0);
}
