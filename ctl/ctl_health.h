/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * Whether what a backup needs is there, besides the file systems' plan: driver,
 * host, freeze daemon, applications, hooks, and a place for the history.  Each
 * is an item that is green, or says why not and what to do about it.
 */

#ifndef _CTL_HEALTH_H_
#define _CTL_HEALTH_H_

#include <stddef.h>
#include <stdio.h>

#include "conf.h"

enum health_state {
	HEALTH_OK,
	HEALTH_NOTE, /* a backup works, but not as well as it might */
	HEALTH_FAILS /* no backup works */
};

struct health_item {
	enum health_state hi_state;
	const char *hi_what;
	char hi_name[256]; /* which of them, or empty */
	char hi_text[256];
	const char *hi_remedy; /* or NULL */
};

struct health {
	struct health_item *he_items;
	size_t he_nitems;
	size_t he_count[HEALTH_FAILS + 1];
	unsigned he_napps; /* that are waited for */
	bool he_nomem;
};

/* Asks the driver, and looks at the hooks; nothing is touched. */
void health_look(
    struct health *he, const struct conf *cf, const char *hooks_dir);
void health_text(const struct health *he, FILE *fp);
/* The items as an array of JSON. */
void health_json(const struct health *he, FILE *fp);
void health_free(struct health *he);

#endif /* _CTL_HEALTH_H_ */
