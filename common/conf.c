/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* The settings of driver and daemon: one table, one parser a type of value. */

#include "conf.h"

#include <errno.h>
#include <fnmatch.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONF_NAME_MAX	 32 /* letters of a key's name */
#define CONF_THREADS_MAX 32
/* Its place in the table. */
#define CONF_KEY_PER_UID  10
#define CONF_LIMIT_MIN_MS 1000U
#define CONF_LIMIT_MAX_MS 900000U

struct conf_key;

/* A string of the settings. */
struct conf_text {
	struct conf_text *ct_next;
	char ct_text[];
};

/* Takes a value; returns false when it is not allowed. */
typedef bool conf_take(
    struct conf *cf, const struct conf_key *ck, const char *value);

struct conf_key {
	const char *ck_name;
	conf_take *ck_take;
	size_t ck_field; /* offset in struct conf; limits: enum conf_limit */
	const char *ck_allowed;
	const char *ck_default;
};

static conf_take conf_take_limit, conf_take_clients, conf_take_per_uid,
    conf_take_apps, conf_take_mode, conf_take_owner, conf_take_group,
    conf_take_path, conf_take_policy, conf_take_exclude, conf_take_rule,
    conf_take_namespaces, conf_take_empty, conf_take_lun_aware, conf_take_rcu,
    conf_take_threads, conf_take_hook_timeout, conf_take_hook;

#define CONF_SECONDS   "seconds from 1 to 900, at most 3 decimals"
#define CONF_CLIENTS   "a number from 1 to 1024"
#define CONF_MODE      "an octal mode of read and write bits, such as 0660"
#define CONF_PATH      "an absolute path"
#define CONF_GLOB      "a glob of mount points, that begins with / or *"
#define CONF_ACTION    "freeze, sync, ignore or veto"
#define CONF_USER      "a user's name or number"
#define CONF_GROUP     "a group's name or number"

#define CONF_AT(field) offsetof(struct conf, field)

/* clang-format off */
static const struct conf_key conf_keys[] = {
	{ "check", conf_take_limit, CONF_CHECK, CONF_SECONDS, "10" },
	{ "freeze", conf_take_limit, CONF_FREEZE, CONF_SECONDS, "120" },
	{ "prepare", conf_take_limit, CONF_PREPARE, CONF_SECONDS,
	    "freeze less 20" },
	{ "quiesce", conf_take_limit, CONF_QUIESCE, CONF_SECONDS, "10" },
	{ "fs", conf_take_limit, CONF_FS, CONF_SECONDS, "10" },
	{ "hold", conf_take_limit, CONF_HOLD, CONF_SECONDS, "60" },
	{ "thaw", conf_take_limit, CONF_THAW, CONF_SECONDS, "10" },
	{ "thaw_fs", conf_take_limit, CONF_THAW_FS, CONF_SECONDS, "5" },
	{ "level", conf_take_limit, CONF_LEVEL, CONF_SECONDS, "1" },
	{ "max_clients", conf_take_clients, 0, CONF_CLIENTS, "64" },
	{ "max_clients_per_uid", conf_take_per_uid, 0, CONF_CLIENTS, "16" },
	{ "apps", conf_take_apps, 0, "require or besteffort", "require" },
	{ "fs_mode", conf_take_mode, CONF_AT(cf_fs), CONF_MODE, "0600" },
	{ "fs_owner", conf_take_owner, CONF_AT(cf_fs), CONF_USER, "root" },
	{ "fs_group", conf_take_group, CONF_AT(cf_fs), CONF_GROUP, "0" },
	{ "app_mode", conf_take_mode, CONF_AT(cf_app), CONF_MODE, "0660" },
	{ "app_owner", conf_take_owner, CONF_AT(cf_app), CONF_USER, "root" },
	{ "app_group", conf_take_group, CONF_AT(cf_app), CONF_GROUP, "0" },
	{ "trace", conf_take_path, CONF_AT(cf_trace), CONF_PATH, "none" },
	{ "policy", conf_take_policy, 0, "normal or strict", "normal" },
	{ "exclude", conf_take_exclude, 0, CONF_GLOB ", 64 times at most",
	    "none" },
	{ "type.", conf_take_rule, false, CONF_ACTION, "by type" },
	{ "mount.", conf_take_rule, true, CONF_ACTION, "by type" },
	{ "namespaces", conf_take_namespaces, 0, "veto, ignore or off",
	    "veto" },
	{ "empty", conf_take_empty, 0, "veto or allow", "veto" },
	{ "lun_aware", conf_take_lun_aware, 0, "on or off", "off" },
	{ "rcu_expedited", conf_take_rcu, 0, "auto or never", "auto" },
	{ "threads", conf_take_threads, 0, "a number from 1 to 32", "32" },
	{ "freezer", conf_take_path, CONF_AT(cf_freezer), CONF_PATH,
	    "as installed" },
	{ "run_dir", conf_take_path, CONF_AT(cf_run_dir), CONF_PATH,
	    HV_RUNDIR },
	{ "guard", conf_take_path, CONF_AT(cf_guard),
	    CONF_PATH ", or nothing", "none" },
	{ "hook_timeout", conf_take_hook_timeout, 0, CONF_SECONDS, "10" },
	{ "hook.", conf_take_hook, 0, CONF_SECONDS, "hook_timeout" },
	{ "status_mode", conf_take_mode, CONF_AT(cf_status), CONF_MODE,
	    "0660" },
	{ "status_owner", conf_take_owner, CONF_AT(cf_status), CONF_USER,
	    "root" },
	{ "status_group", conf_take_group, CONF_AT(cf_status), CONF_GROUP,
	    "0" },
	{ "state_dir", conf_take_path, CONF_AT(cf_state_dir), CONF_PATH,
	    HV_STATEDIR },
	{ "prometheus", conf_take_path, CONF_AT(cf_prometheus), CONF_PATH,
	    "none" }
};
/* clang-format on */
_Static_assert(VSS_NELEM(conf_keys) <= CONF_KEYS_MAX, "cf_given is too small");

static const char *const conf_actions[] = { [CONF_DO_FREEZE] = "freeze",
	[CONF_DO_SYNC] = "sync",
	[CONF_DO_IGNORE] = "ignore",
	[CONF_DO_VETO] = "veto" };

static const char *const conf_namespaces[] = { [CONF_NS_VETO] = "veto",
	[CONF_NS_IGNORE] = "ignore",
	[CONF_NS_OFF] = "off" };

static const uint32_t conf_limit_default_ms[CONF_NLIMITS] = {
	[CONF_CHECK] = 10000,
	[CONF_FREEZE] = 120000,
	[CONF_PREPARE] = 100000,
	[CONF_QUIESCE] = 10000,
	[CONF_FS] = 10000,
	[CONF_HOLD] = 60000,
	[CONF_THAW] = 10000,
	[CONF_THAW_FS] = 5000,
	[CONF_LEVEL] = 1000,
};

/* A copy that lives as long as the settings; NULL: out of memory. */
static const char *
conf_keep(struct conf *cf, const char *text, size_t len)
{
	struct conf_text *ct = malloc(sizeof(*ct) + len + 1);

	if (ct == NULL) {
		cf->cf_nomem = true;
		return (NULL);
	}
	memcpy(ct->ct_text, text, len);
	ct->ct_text[len] = '\0';
	ct->ct_next = cf->cf_texts;
	cf->cf_texts = ct;
	return (ct->ct_text);
}

/* An unsigned decimal number and nothing else, at most max. */
static bool
conf_number(const char *value, uint32_t max, uint32_t *out)
{
	uint64_t n;

	if (*value == '\0')
		return (false);
	for (n = 0; *value != '\0'; value++) {
		if (*value < '0' || *value > '9')
			return (false);
		n = n * 10 + (uint64_t)(*value - '0');
		if (n > max)
			return (false);
	}
	*out = (uint32_t)n;
	return (true);
}

/* "2", "2.5": digits, and at most three decimals. */
static bool
conf_milliseconds(const char *value, uint32_t *out)
{
	char digits[16];
	const char *point;
	size_t whole, decimals;

	point = strchr(value, '.');
	whole = point == NULL ? strlen(value) : (size_t)(point - value);
	decimals = point == NULL ? 0 : strlen(point + 1);
	if (whole == 0 || whole > 3 || decimals > 3 ||
	    (point != NULL && decimals == 0))
		return (false);
	memcpy(digits, value, whole);
	memset(digits + whole, '0', 3);
	if (point != NULL)
		memcpy(digits + whole, point + 1, decimals);
	digits[whole + 3] = '\0';
	return (conf_number(digits, 999999, out));
}

static bool
conf_limit(const char *value, uint32_t *ms)
{
	return (conf_milliseconds(value, ms) && *ms >= CONF_LIMIT_MIN_MS &&
	    *ms <= CONF_LIMIT_MAX_MS);
}

static bool
conf_take_limit(struct conf *cf, const struct conf_key *ck, const char *value)
{
	uint32_t ms;

	if (!conf_limit(value, &ms))
		return (false);
	cf->cf_limit_ms[ck->ck_field] = ms;
	cf->cf_limit_set[ck->ck_field] = true;
	return (true);
}

static bool
conf_take_clients(struct conf *cf, const struct conf_key *ck, const char *value)
{
	uint32_t n;

	(void)ck;
	if (!conf_number(value, VSS_ENGINE_MAX_CLIENTS, &n) || n == 0)
		return (false);
	cf->cf_max_clients = n;
	return (true);
}

static bool
conf_take_per_uid(struct conf *cf, const struct conf_key *ck, const char *value)
{
	uint32_t n;

	(void)ck;
	if (!conf_number(value, VSS_ENGINE_MAX_CLIENTS, &n) || n == 0)
		return (false);
	cf->cf_max_clients_per_uid = n;
	cf->cf_max_per_uid_set = true;
	return (true);
}

/* One of two words. */
static bool
conf_choice(const char *value, const char *no, const char *yes, bool *out)
{
	if (strcmp(value, no) != 0 && strcmp(value, yes) != 0)
		return (false);
	*out = strcmp(value, yes) == 0;
	return (true);
}

static bool
conf_take_apps(struct conf *cf, const struct conf_key *ck, const char *value)
{
	(void)ck;
	return (
	    conf_choice(value, "require", "besteffort", &cf->cf_besteffort));
}

static bool
conf_take_policy(struct conf *cf, const struct conf_key *ck, const char *value)
{
	(void)ck;
	return (conf_choice(value, "normal", "strict", &cf->cf_strict));
}

static bool
conf_take_empty(struct conf *cf, const struct conf_key *ck, const char *value)
{
	(void)ck;
	return (conf_choice(value, "veto", "allow", &cf->cf_empty));
}

static bool
conf_take_lun_aware(
    struct conf *cf, const struct conf_key *ck, const char *value)
{
	(void)ck;
	return (conf_choice(value, "off", "on", &cf->cf_lun_aware));
}

static bool
conf_take_rcu(struct conf *cf, const struct conf_key *ck, const char *value)
{
	(void)ck;
	return (conf_choice(value, "auto", "never", &cf->cf_no_rcu));
}

/* Which of some words, or -1. */
static int
conf_word(const char *value, const char *const *words, size_t nwords)
{
	for (size_t i = 0; i < nwords; i++)
		if (strcmp(value, words[i]) == 0)
			return ((int)i);
	return (-1);
}

static bool
conf_take_namespaces(
    struct conf *cf, const struct conf_key *ck, const char *value)
{
	int word = conf_word(
	    value, conf_namespaces, VSS_NELEM(conf_namespaces));

	(void)ck;
	if (word != -1)
		cf->cf_namespaces = (enum conf_namespaces)word;
	return (word != -1);
}

static bool
conf_take_threads(struct conf *cf, const struct conf_key *ck, const char *value)
{
	uint32_t n;

	(void)ck;
	if (!conf_number(value, CONF_THREADS_MAX, &n) || n == 0)
		return (false);
	cf->cf_threads = n;
	return (true);
}

static struct conf_node *
conf_node(struct conf *cf, const struct conf_key *ck)
{
	return ((struct conf_node *)(void *)((char *)cf + ck->ck_field));
}

static bool
conf_take_mode(struct conf *cf, const struct conf_key *ck, const char *value)
{
	unsigned mode;

	if (*value == '\0' || strlen(value) > 4)
		return (false);
	for (mode = 0; *value != '\0'; value++) {
		if (*value < '0' || *value > '7')
			return (false);
		mode = mode * 8 + (unsigned)(*value - '0');
	}
	if ((mode & ~0666U) != 0)
		return (false);
	conf_node(cf, ck)->cn_mode = (mode_t)mode;
	return (true);
}

static bool
conf_take_owner(struct conf *cf, const struct conf_key *ck, const char *value)
{
	const struct passwd *pw;
	uint32_t uid;

	if (!conf_number(value, UINT32_MAX - 1, &uid)) {
		if ((pw = getpwnam(value)) == NULL)
			return (false);
		uid = pw->pw_uid;
	}
	conf_node(cf, ck)->cn_owner = uid;
	return (true);
}

static bool
conf_take_group(struct conf *cf, const struct conf_key *ck, const char *value)
{
	const struct group *gr;
	uint32_t gid;

	if (!conf_number(value, UINT32_MAX - 1, &gid)) {
		if ((gr = getgrnam(value)) == NULL)
			return (false);
		gid = gr->gr_gid;
	}
	conf_node(cf, ck)->cn_group = gid;
	return (true);
}

static bool
conf_take_path(struct conf *cf, const struct conf_key *ck, const char *value)
{
	const char **field = (const char **)(void *)((char *)cf + ck->ck_field);

	if (*value == '\0' && ck->ck_field == CONF_AT(cf_guard))
		value = NULL;
	else if (*value != '/' ||
	    (value = conf_keep(cf, value, strlen(value))) == NULL)
		return (false);
	*field = value;
	return (true);
}

/* Anything else would never match and never be missed. */
static bool
conf_is_glob(const char *glob)
{
	return (*glob == '/' || *glob == '*' || *glob == '?' || *glob == '[');
}

static bool
conf_take_exclude(struct conf *cf, const struct conf_key *ck, const char *value)
{
	(void)ck;
	if (!conf_is_glob(value) || cf->cf_nexclude == CONF_EXCLUDE_MAX ||
	    (value = conf_keep(cf, value, strlen(value))) == NULL)
		return (false);
	cf->cf_exclude[cf->cf_nexclude++] = value;
	return (true);
}

/* The value is the action; conf_set() has put the name in the next rule. */
static bool
conf_take_rule(struct conf *cf, const struct conf_key *ck, const char *value)
{
	struct conf_rule *cr = &cf->cf_rules[cf->cf_nrules];
	int action = conf_word(value, conf_actions, VSS_NELEM(conf_actions));

	if (action == -1)
		return (false);
	cr->cr_mount = ck->ck_field != 0;
	cr->cr_action = (enum conf_action)action;
	cf->cf_nrules++;
	return (true);
}

static bool
conf_take_hook_timeout(
    struct conf *cf, const struct conf_key *ck, const char *value)
{
	(void)ck;
	return (conf_limit(value, &cf->cf_hook_ms));
}

static bool
conf_take_hook(struct conf *cf, const struct conf_key *ck, const char *value)
{
	(void)ck;
	if (!conf_limit(value, &cf->cf_hooks[cf->cf_nhooks].ch_limit_ms))
		return (false);
	cf->cf_nhooks++;
	return (true);
}

void
conf_default(struct conf *cf)
{
	memset(cf, 0, sizeof(*cf));
	memcpy(cf->cf_limit_ms, conf_limit_default_ms, sizeof(cf->cf_limit_ms));
	cf->cf_max_clients = 64;
	cf->cf_max_clients_per_uid = 16;
	cf->cf_fs.cn_mode = 0600;
	cf->cf_app.cn_mode = 0660;
	cf->cf_status.cn_mode = 0660;
	cf->cf_run_dir = HV_RUNDIR;
	cf->cf_state_dir = HV_STATEDIR;
	cf->cf_threads = CONF_THREADS_MAX;
	cf->cf_hook_ms = 10000;
}

/* How many letters must be changed to make one word the other. */
static size_t
conf_distance(const char *a, size_t alen, const char *b)
{
	size_t row[CONF_NAME_MAX + 1], blen = strlen(b), corner, above;

	for (size_t j = 0; j <= blen; j++)
		row[j] = j;
	for (size_t i = 1; i <= alen; i++) {
		corner = row[0];
		row[0] = i;
		for (size_t j = 1; j <= blen; j++) {
			above = row[j];
			row[j] = corner + (a[i - 1] != b[j - 1]);
			if (above + 1 < row[j])
				row[j] = above + 1;
			if (row[j - 1] + 1 < row[j])
				row[j] = row[j - 1] + 1;
			corner = above;
		}
	}
	return (row[blen]);
}

static const char *
conf_nearest(const char *name, size_t len)
{
	const char *nearest = conf_keys[0].ck_name;
	size_t least = SIZE_MAX, distance;

	if (len > CONF_NAME_MAX)
		len = CONF_NAME_MAX;
	for (size_t i = 0; i < VSS_NELEM(conf_keys); i++) {
		distance = conf_distance(name, len, conf_keys[i].ck_name);
		if (distance < least) {
			least = distance;
			nearest = conf_keys[i].ck_name;
		}
	}
	return (nearest);
}

/* A name that ends in a dot is the beginning of a key, a rule's. */
static bool
conf_is_rule(const struct conf_key *ck)
{
	return (ck->ck_name[strlen(ck->ck_name) - 1] == '.');
}

/*
 * The key of a setting and its length; NULL if there is none.  A rule's value
 * is one of a few words, so that mount points may have a '=' in them.
 */
static const struct conf_key *
conf_find(const char *arg, size_t *len)
{
	const struct conf_key *ck;
	const char *last = strrchr(arg, '=');
	size_t n;

	*len = strcspn(arg, "=");
	for (size_t i = 0; i < VSS_NELEM(conf_keys) && last != NULL; i++) {
		ck = &conf_keys[i];
		n = strlen(ck->ck_name);
		if (strncmp(ck->ck_name, arg, n) != 0)
			continue;
		if (conf_is_rule(ck)) {
			*len = (size_t)(last - arg);
			return (ck);
		}
		if (arg[n] == '=')
			return (ck);
	}
	return (NULL);
}

/* Puts the name of a rule in its place, which is not counted yet. */
static int
conf_name_rule(struct conf *cf, const struct conf_key *ck, const char *arg,
    size_t len, char *err, size_t errlen)
{
	size_t skip = strlen(ck->ck_name);
	bool hook = ck->ck_take == conf_take_hook;
	bool mount = ck->ck_field != 0;
	const char *name;
	int max = hook ? CONF_HOOKS_MAX : CONF_RULES_MAX;

	if ((int)(hook ? cf->cf_nhooks : cf->cf_nrules) == max) {
		snprintf(err, errlen, "%.*s: more than %d rules", (int)len, arg,
		    max);
		return (EINVAL);
	}
	if (len <= skip || (mount && !conf_is_glob(arg + skip))) {
		snprintf(err, errlen, "%.*s: not allowed; it is %s%s", (int)len,
		    arg, ck->ck_name,
		    mount    ? "GLOB, " CONF_GLOB :
			hook ? "GLOB, names of hooks" :
			       "NAME, a file system's type");
		return (EINVAL);
	}
	name = conf_keep(cf, arg + skip, len - skip);
	if (hook)
		cf->cf_hooks[cf->cf_nhooks].ch_glob = name;
	else
		cf->cf_rules[cf->cf_nrules].cr_name = name;
	return (cf->cf_nomem ? ENOMEM : 0);
}

/* What is given twice in a file is an oversight, unless it is a list. */
static int
conf_once(struct conf *cf, const struct conf_key *ck, char *err, size_t errlen)
{
	unsigned *given = &cf->cf_given[ck - conf_keys];

	if (cf->cf_line == 0)
		*given = 0;
	else if (*given != 0 && ck->ck_take != conf_take_exclude &&
	    !conf_is_rule(ck)) {
		snprintf(err, errlen, "%s: given twice, in line %u as well",
		    ck->ck_name, *given);
		return (EINVAL);
	} else
		*given = cf->cf_line;
	return (0);
}

static int
conf_set_one(struct conf *cf, const char *arg, char *err, size_t errlen)
{
	const struct conf_key *ck;
	size_t len;
	int error = 0;

	if (strchr(arg, '=') == NULL) {
		snprintf(err, errlen, "%s: a setting is KEY=VALUE", arg);
		return (EINVAL);
	}
	ck = conf_find(arg, &len);
	if (ck == NULL) {
		snprintf(err, errlen,
		    "%.*s: no such setting; the nearest is %s, hv_vss.conf(5) "
		    "has all",
		    (int)len, arg, conf_nearest(arg, len));
		return (EINVAL);
	}
	if (conf_is_rule(ck))
		error = conf_name_rule(cf, ck, arg, len, err, errlen);
	if (error == 0 && !ck->ck_take(cf, ck, arg + len + 1)) {
		error = EINVAL;
		snprintf(err, errlen, "%s: not allowed; %.*s is %s", arg,
		    (int)len, arg, ck->ck_allowed);
	}
	if (error == 0)
		error = conf_once(cf, ck, err, errlen);
	if (!cf->cf_nomem)
		return (error);
	snprintf(err, errlen, "%s", strerror(ENOMEM));
	return (ENOMEM);
}

/* Frees the strings that are newer than one of them. */
static void
conf_forget(struct conf *cf, const struct conf_text *upto)
{
	struct conf_text *ct;

	while ((ct = cf->cf_texts) != upto) {
		cf->cf_texts = ct->ct_next;
		free(ct);
	}
}

void
conf_free(struct conf *cf)
{
	conf_forget(cf, NULL);
	memset(cf, 0, sizeof(*cf));
}

/* What is refused has changed nothing. */
int
conf_set(struct conf *cf, const char *arg, char *err, size_t errlen)
{
	struct conf before = *cf;
	int error;

	error = conf_set_one(cf, arg, err, errlen);
	if (error != 0) {
		conf_forget(cf, before.cf_texts);
		*cf = before;
	}
	return (error);
}

/* Where a key was given, for the beginning of a message. */
static void
conf_where(const struct conf *cf, unsigned key, char *buf, size_t len)
{
	buf[0] = '\0';
	if (cf->cf_given[key] != 0)
		snprintf(buf, len, "%s:%u: ", cf->cf_file, cf->cf_given[key]);
}

/* Makes limit fit into the one that it is part of, or refuses. */
static int
conf_within(struct conf *cf, enum conf_limit limit, enum conf_limit whole,
    char *err, size_t errlen)
{
	uint32_t ms = cf->cf_limit_ms[limit], max = cf->cf_limit_ms[whole];
	char where[CONF_ERR_MAX / 2];

	if (ms <= max)
		return (0);
	if (!cf->cf_limit_set[limit]) {
		cf->cf_limit_ms[limit] = max;
		return (0);
	}
	conf_where(cf, limit, where, sizeof(where));
	snprintf(err, errlen,
	    "%s%s=%u.%03u: longer than %s, %u.%03u s, which it is part of",
	    where, conf_limit_name(limit), ms / 1000, ms % 1000,
	    conf_limit_name(whole), max / 1000, max % 1000);
	return (EINVAL);
}

/* prepare leaves room for what follows it; thaw_fs leaves half for resume. */
static void
conf_derive(struct conf *cf)
{
	uint32_t freeze = cf->cf_limit_ms[CONF_FREEZE];
	uint32_t thaw = cf->cf_limit_ms[CONF_THAW];

	if (!cf->cf_limit_set[CONF_PREPARE])
		cf->cf_limit_ms[CONF_PREPARE] =
		    (uint32_t)(vss_engine_prepare_ns(freeze * VSS_NS_PER_MS) /
			VSS_NS_PER_MS);
	if (!cf->cf_limit_set[CONF_THAW_FS] &&
	    cf->cf_limit_ms[CONF_THAW_FS] > thaw / 2)
		cf->cf_limit_ms[CONF_THAW_FS] = thaw / 2;
}

int
conf_check(struct conf *cf, char *err, size_t errlen)
{
	static const enum conf_limit parts[][2] = {
		{ CONF_PREPARE, CONF_FREEZE },
		{ CONF_QUIESCE, CONF_FREEZE },
		{ CONF_FS, CONF_FREEZE },
		{ CONF_THAW_FS, CONF_THAW },
		{ CONF_LEVEL, CONF_THAW },
	};
	char where[CONF_ERR_MAX / 2];
	size_t i;

	conf_derive(cf);
	for (i = 0; i < VSS_NELEM(parts); i++)
		if (conf_within(cf, parts[i][0], parts[i][1], err, errlen) != 0)
			return (EINVAL);
	if (cf->cf_max_clients_per_uid <= cf->cf_max_clients)
		return (0);
	if (cf->cf_max_per_uid_set) {
		conf_where(cf, CONF_KEY_PER_UID, where, sizeof(where));
		snprintf(err, errlen,
		    "%smax_clients_per_uid=%u: more than max_clients, %u",
		    where, cf->cf_max_clients_per_uid, cf->cf_max_clients);
		return (EINVAL);
	}
	cf->cf_max_clients_per_uid = cf->cf_max_clients;
	return (0);
}

static uint64_t
conf_ns(const struct conf *cf, enum conf_limit limit)
{
	return (cf->cf_limit_ms[limit] * VSS_NS_PER_MS);
}

void
conf_engine(const struct conf *cf, struct vss_engine_conf *ec)
{
	memset(ec, 0, sizeof(*ec));
	ec->ec_check_ns = conf_ns(cf, CONF_CHECK);
	ec->ec_freeze_ns = conf_ns(cf, CONF_FREEZE);
	ec->ec_prepare_ns = conf_ns(cf, CONF_PREPARE);
	ec->ec_quiesce_ns = conf_ns(cf, CONF_QUIESCE);
	ec->ec_fs_ns = conf_ns(cf, CONF_FS);
	ec->ec_hold_ns = conf_ns(cf, CONF_HOLD);
	ec->ec_thaw_ns = conf_ns(cf, CONF_THAW);
	ec->ec_thaw_fs_ns = conf_ns(cf, CONF_THAW_FS);
	ec->ec_level_ns = conf_ns(cf, CONF_LEVEL);
	ec->ec_max_clients = cf->cf_max_clients;
	ec->ec_max_per_uid = cf->cf_max_clients_per_uid;
	ec->ec_besteffort = cf->cf_besteffort;
}

uint32_t
conf_hook_ms(const struct conf *cf, const char *name)
{
	for (unsigned i = cf->cf_nhooks; i > 0; i--)
		if (fnmatch(cf->cf_hooks[i - 1].ch_glob, name, 0) == 0)
			return (cf->cf_hooks[i - 1].ch_limit_ms);
	return (cf->cf_hook_ms);
}

const char *
conf_action_name(enum conf_action action)
{
	return (conf_actions[action]);
}

/* The limits are the first keys of the table, in the order of the enum. */
const char *
conf_limit_name(enum conf_limit limit)
{
	return (conf_keys[limit].ck_name);
}

void
conf_help(FILE *fp)
{
	char name[CONF_NAME_MAX + 8];
	size_t i;

	for (i = 0; i < VSS_NELEM(conf_keys); i++) {
		snprintf(name, sizeof(name), "%s%s", conf_keys[i].ck_name,
		    !conf_is_rule(&conf_keys[i]) ? "" :
			conf_keys[i].ck_take == conf_take_rule &&
			    conf_keys[i].ck_field == 0 ?
						   "NAME" :
						   "GLOB");
		fprintf(fp, "  %-19s %s (%s)\n", name, conf_keys[i].ck_allowed,
		    conf_keys[i].ck_default);
	}
}
