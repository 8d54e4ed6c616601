/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * What must hold for every plan: it has each mount in one line, freezes each
 * file system once, and never what another one lies on before that one.  Wants
 * plan.c before it, and LINES_MAX, as many mounts as there can be.
 */

#ifndef _FUZZ_PLAN_H_
#define _FUZZ_PLAN_H_

static void
fuzz_check_text(const char *text)
{
	FUZZ_CHECK(text != NULL && text[0] != '\0');
	for (; *text != '\0'; text++)
		FUZZ_CHECK((unsigned char)*text >= ' ' && *text != 127);
}

/* Frozen at most once each, and what lies on another goes before it. */
static void
fuzz_check_order(const struct plan *pn)
{
	const struct making *mk = pn->pn_memory;
	const struct fs_table *ft = &mk->mk_ft;
	unsigned int fs[LINES_MAX], i, j, n = 0;

	for (i = 0; i < pn->pn_nlines; i++)
		if (pn->pn_lines[i].pl_action == PLAN_FREEZE)
			fs[n++] = ft->ft_mounts[pn->pn_lines[i].pl_order].fm_fs;
	FUZZ_CHECK(n == pn->pn_count[PLAN_FREEZE]);
	for (i = 0; i < n; i++) {
		FUZZ_CHECK(pn->pn_lines[i].pl_level < pn->pn_nlevels);
		for (j = 0; j < n; j++) {
			FUZZ_CHECK(i == j || fs[i] != fs[j]);
			if (pn->pn_veto == NULL &&
			    fs_table_reaches(ft, fs[i], fs[j]))
				FUZZ_CHECK(pn->pn_lines[i].pl_level <
				    pn->pn_lines[j].pl_level);
		}
	}
}

static void
fuzz_check_plan(const struct plan *pn)
{
	const struct making *mk = pn->pn_memory;
	bool seen[LINES_MAX] = { false };
	const struct plan_line *pl;
	size_t i, n = 0;

	FUZZ_CHECK(pn->pn_nlines == mk->mk_ft.ft_nmounts);
	for (i = 0; i < PLAN_NACTIONS; i++)
		n += pn->pn_count[i];
	FUZZ_CHECK(n == pn->pn_nlines);
	for (i = 0; i < pn->pn_nlines; i++) {
		pl = &pn->pn_lines[i];
		FUZZ_CHECK(pl->pl_order < pn->pn_nlines && !seen[pl->pl_order]);
		seen[pl->pl_order] = true;
		FUZZ_CHECK(plan_action_name(pl->pl_action) != NULL);
		fuzz_check_text(pl->pl_reason);
		/* What is opened leads to itself, and cannot hang. */
		if (pl->pl_action == PLAN_FREEZE || pl->pl_action == PLAN_SYNC)
			FUZZ_CHECK(
			    !mk->mk_ft.ft_mounts[pl->pl_order].fm_hidden &&
			    !mk->mk_ft.ft_mounts[pl->pl_order].fm_detour);
	}
	if (pn->pn_count[PLAN_VETO] > 0)
		FUZZ_CHECK(pn->pn_veto != NULL);
	if (pn->pn_veto != NULL)
		fuzz_check_text(pn->pn_veto);
	fuzz_check_order(pn);
}

#endif /* _FUZZ_PLAN_H_ */
