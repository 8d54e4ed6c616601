/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* What a backup needs, item by item (ctl_health.h). */

#include "ctl_health.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl_hookdir.h"
#include "ctl_view.h"

static const char *const health_names[] = {
	[HEALTH_OK] = "ok",
	[HEALTH_NOTE] = "note",
	[HEALTH_FAILS] = "FAILS",
};

/* A new item; one that is thrown away where there is no memory. */
static struct health_item *
add(struct health *he, enum health_state state, const char *what)
{
	static struct health_item none;
	struct health_item *hi;

	he->he_count[state]++;
	hi = realloc(he->he_items, (he->he_nitems + 1) * sizeof(*hi));
	if (hi == NULL) {
		he->he_nomem = true;
		return (&none);
	}
	he->he_items = hi;
	hi += he->he_nitems++;
	memset(hi, 0, sizeof(*hi));
	hi->hi_state = state;
	hi->hi_what = what;
	return (hi);
}

static void
look_at_host(struct health *he, const struct json_value *doc)
{
	const struct json_value *host = json_get(doc, "host");
	bool up = json_true(json_get(host, "connected"));
	char transport[128], message[16];
	struct health_item *hi;

	json_copy(json_get(host, "transport"), transport, sizeof(transport));
	json_copy(json_get(host, "message"), message, sizeof(message));
	hi = add(he, up ? HEALTH_OK : HEALTH_FAILS, "host");
	(void)snprintf(hi->hi_text, sizeof(hi->hi_text), "%sconnected (%s)%s%s",
	    up ? "" : "not ", transport,
	    message[0] != '\0' ? ", messages " : "", message);
	if (!up)
		hi->hi_remedy =
		    "on Hyper-V, enable this machine's backup (volume shadow "
		    "copy) integration service; see the driver's log";
	if (json_true(json_get(doc, "lost"))) {
		hi = add(he, HEALTH_NOTE, "last hold");
		(void)snprintf(hi->hi_text, sizeof(hi->hi_text),
		    "it was lost, the copy is not to be trusted");
		hi->hi_remedy = "back up again; hv_vssctl history says why";
	}
}

static void
look_at_application(struct health *he, const struct json_value *cl)
{
	bool stale = json_true(json_get(cl, "stale"));
	bool part = json_true(json_get(cl, "takes_part"));
	struct health_item *hi;

	hi = add(he, stale || !part ? HEALTH_NOTE : HEALTH_OK, "application");
	json_copy(json_get(cl, "name"), hi->hi_name, sizeof(hi->hi_name));
	(void)snprintf(hi->hi_text, sizeof(hi->hi_text), "level %u, pid %llu%s",
	    (unsigned)json_whole(json_get(cl, "level")),
	    (unsigned long long)json_whole(json_get(cl, "pid")),
	    stale     ? ", was silent twice and is not waited for" :
		!part ? ", has not asked for anything yet" :
			"");
	if (stale)
		hi->hi_remedy = "copies are file-system consistent only; see "
				"that it runs and is not stopped";
	he->he_napps += part && !stale;
}

static void
look_at_clients(struct health *he, const struct json_value *doc)
{
	const struct json_value *list = json_get(doc, "clients"), *cl;
	bool there = json_true(json_get(doc, "daemon"));
	struct health_item *hi;
	size_t before;

	hi = add(he, there ? HEALTH_OK : HEALTH_FAILS, "freeze daemon");
	for (cl = json_first(list); cl != NULL; cl = json_next(list, cl))
		if (json_is(json_get(cl, "kind"), "daemon"))
			(void)snprintf(hi->hi_text, sizeof(hi->hi_text),
			    "pid %llu",
			    (unsigned long long)json_whole(
				json_get(cl, "pid")));
	if (!there) {
		(void)snprintf(hi->hi_text, sizeof(hi->hi_text),
		    "none has the file-system device open");
		hi->hi_remedy = "start hv_vss_daemon";
	}
	before = he->he_nitems;
	for (cl = json_first(list); cl != NULL; cl = json_next(list, cl))
		if (!json_is(json_get(cl, "kind"), "daemon"))
			look_at_application(he, cl);
	/* The kernel's module does not say who they are. */
	if (list == NULL)
		he->he_napps = (unsigned)(json_whole(
					      json_get(doc, "applications")) -
		    json_whole(json_get(doc, "stale")));
	if (he->he_nitems > before || he->he_napps > 0)
		return;
	hi = add(he, HEALTH_NOTE, "applications");
	(void)snprintf(hi->hi_text, sizeof(hi->hi_text),
	    "none takes part: copies are file-system consistent");
	hi->hi_remedy = "see hv_vssctl run, or hooks.d";
}

static void
look_at_driver(struct health *he, const struct conf *cf)
{
	struct status_doc sd;
	struct health_item *hi;
	char err[256], version[32];

	if (status_ask(&sd, cf->cf_run_dir, err, sizeof(err)) != 0) {
		hi = add(he, HEALTH_FAILS, "driver");
		(void)snprintf(hi->hi_text, sizeof(hi->hi_text), "%s", err);
		hi->hi_remedy = "without it the host's backups do not reach "
				"this machine";
		return;
	}
	json_copy(json_get(sd.sd_json.jd_values, "version"), version,
	    sizeof(version));
	hi = add(he, HEALTH_OK, "driver");
	if (json_get(sd.sd_json.jd_values, "pid") == NULL)
		(void)snprintf(
		    hi->hi_text, sizeof(hi->hi_text), "the kernel's module");
	else
		(void)snprintf(hi->hi_text, sizeof(hi->hi_text),
		    "version %s, pid %llu", version,
		    (unsigned long long)json_whole(
			json_get(sd.sd_json.jd_values, "pid")));
	look_at_host(he, sd.sd_json.jd_values);
	look_at_clients(he, sd.sd_json.jd_values);
	status_free(&sd);
}

static void
look_at_hooks(struct health *he, const struct conf *cf, const char *dir)
{
	static struct ctl_hookdir hd;
	struct health_item *hi;
	char why[256];

	if (access(dir, F_OK) != 0)
		return;
	hd.hd_path = dir;
	hd.hd_conf = cf;
	if (ctl_hookdir_scan(&hd, why, sizeof(why)) != 0) {
		hi = add(he, HEALTH_FAILS, "hooks");
		(void)snprintf(hi->hi_text, sizeof(hi->hi_text), "%s", why);
		return;
	}
	for (unsigned i = 0; i < hd.hd_nhooks; i++) {
		hi = add(he, HEALTH_OK, "hook");
		(void)snprintf(hi->hi_name, sizeof(hi->hi_name), "%s",
		    hd.hd_hooks[i].hk_name);
		(void)snprintf(hi->hi_text, sizeof(hi->hi_text),
		    "at most %llu ms",
		    (unsigned long long)hd.hd_hooks[i].hk_limit_ms);
	}
	ctl_hookdir_release(&hd);
}

/* Root writes the history; what others may see of that says nothing. */
static void
look_at_history(struct health *he, const struct conf *cf)
{
	struct health_item *hi;
	const char *dir = cf->cf_state_dir;

	if (geteuid() != 0 || access(dir, W_OK | X_OK) == 0 || errno == ENOENT)
		return;
	hi = add(he, HEALTH_NOTE, "history");
	(void)snprintf(hi->hi_text, sizeof(hi->hi_text),
	    "%.160s: cannot be written: %s", dir, strerror(errno));
	hi->hi_remedy = "see the setting state_dir";
}

void
health_look(struct health *he, const struct conf *cf, const char *hooks_dir)
{
	memset(he, 0, sizeof(*he));
	look_at_driver(he, cf);
	look_at_hooks(he, cf, hooks_dir);
	look_at_history(he, cf);
}

void
health_text(const struct health *he, FILE *fp)
{
	static const enum ctl_colour colours[] = { [HEALTH_OK] = CTL_GOOD,
		[HEALTH_NOTE] = CTL_WARN,
		[HEALTH_FAILS] = CTL_BAD };
	const struct health_item *hi;

	for (size_t i = 0; i < he->he_nitems; i++) {
		hi = &he->he_items[i];
		ctl_colour(fp, colours[hi->hi_state], "%-6s",
		    health_names[hi->hi_state]);
		(void)fprintf(fp, "  %-14s %s%s%s%s%s\n", hi->hi_what,
		    hi->hi_name, hi->hi_name[0] != '\0' ? ": " : "",
		    hi->hi_text, hi->hi_remedy != NULL ? "; " : "",
		    hi->hi_remedy != NULL ? hi->hi_remedy : "");
	}
}

void
health_json(const struct health *he, FILE *fp)
{
	const struct health_item *hi;
	struct json_out jo;
	char buf[8192];

	(void)fputc('[', fp);
	for (size_t i = 0; i < he->he_nitems; i++) {
		hi = &he->he_items[i];
		json_out_init(&jo, buf, sizeof(buf));
		json_open(&jo, NULL, '{');
		json_text(&jo, "state",
		    hi->hi_state == HEALTH_FAILS ? "fails" :
						   health_names[hi->hi_state]);
		json_text(&jo, "what", hi->hi_what);
		if (hi->hi_name[0] != '\0')
			json_text(&jo, "name", hi->hi_name);
		json_text(&jo, "text", hi->hi_text);
		json_text(&jo, "remedy", hi->hi_remedy);
		json_close(&jo, '}');
		(void)fprintf(fp, "%s%s", i == 0 ? "" : ",\n", buf);
	}
	(void)fputc(']', fp);
}

void
health_free(struct health *he)
{
	free(he->he_items);
	memset(he, 0, sizeof(*he));
}
