/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * What the plan of a recorded machine must be, for the tests of the plan on
 * each system.  The lines, in the plan's order, and the verdict:
 *
 *	freeze LEVEL POINT | part of the reason
 *	sync - POINT | ..., veto - POINT | ..., leave - POINT | ...
 *	works | refused TEXT	whether a backup would work, or part of why not
 */

#ifndef _EXPECT_H_
#define _EXPECT_H_

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plan.h"

#define EXPECT_MAX 128

struct expect {
	char *ex_lines[EXPECT_MAX];
	unsigned int ex_nlines;
	char *ex_verdict;
};

/* Notes a line, which must stay, unless it is a comment or empty. */
static inline void
expect_take(struct expect *ex, char *line)
{
	if (strncmp(line, "refused ", 8) == 0)
		ex->ex_verdict = line + 8;
	else if (strcmp(line, "works") == 0)
		ex->ex_verdict = line;
	else if (line[0] != '#' && line[0] != '\0') {
		assert_true(ex->ex_nlines < EXPECT_MAX);
		ex->ex_lines[ex->ex_nlines++] = line;
	}
}

/* "ACTION LEVEL POINT | part of the reason" against a line of the plan. */
static inline void
expect_line(const char *name, const char *want, const struct plan_line *pl)
{
	char have[PATH_MAX], level[16];
	const char *bar = strstr(want, " | ");

	if (bar == NULL)
		fail_msg("%s: '%s': not understood", name, want);
	(void)snprintf(level, sizeof(level), "%u", pl->pl_level);
	(void)snprintf(have, sizeof(have), "%s %s %s",
	    plan_action_name(pl->pl_action),
	    pl->pl_action == PLAN_FREEZE ? level : "-", pl->pl_point);
	if (strlen(have) != (size_t)(bar - want) ||
	    strncmp(have, want, strlen(have)) != 0 ||
	    strstr(pl->pl_reason, bar + 3) == NULL)
		fail_msg("%s:\n  want %s\n  have %s | %s", name, want, have,
		    pl->pl_reason);
}

static inline void
expect_plan(const char *name, const struct expect *ex, const struct plan *pn)
{
	for (size_t i = 0; i < pn->pn_nlines && i < ex->ex_nlines; i++)
		expect_line(name, ex->ex_lines[i], &pn->pn_lines[i]);
	assert_int_equal(pn->pn_nlines, ex->ex_nlines);
	assert_non_null(ex->ex_verdict);
	if (strcmp(ex->ex_verdict, "works") == 0) {
		if (pn->pn_veto != NULL)
			fail_msg("%s: refused: %s", name, pn->pn_veto);
	} else if (pn->pn_veto == NULL ||
	    strstr(pn->pn_veto, ex->ex_verdict) == NULL)
		fail_msg("%s: refused with '%s', not '%s'", name,
		    ex->ex_verdict, pn->pn_veto);
}

/*
 * Reads data/DIR/NAME beside the test's source, cut into lines that the caller
 * takes one by one with strsep(); to be freed.
 */
static inline char *
expect_read(const char *source, const char *dir, const char *name)
{
	char path[PATH_MAX], *text = NULL;
	const char *slash = strrchr(source, '/');
	size_t len = 0;
	FILE *f;

	(void)snprintf(path, sizeof(path), "%.*s/data/%s/%s",
	    (int)(slash - source), source, dir, name);
	f = fopen(path, "re");
	if (f == NULL)
		fail_msg("%s: absent", path);
	assert_true(getdelim(&text, &len, '\0', f) > 0);
	(void)fclose(f);
	return (text);
}

#endif /* _EXPECT_H_ */
