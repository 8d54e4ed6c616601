/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* The settings of driver and daemon: one table, one parser a type of value. */

#include "conf.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

#define CONF_LIMIT_MIN_MS 1000U
#define CONF_LIMIT_MAX_MS 900000U
/* What FREEZE keeps for quiesce and fs when prepare is not given. */
#define CONF_AFTER_PREPARE_MS 20000U

struct conf_key;

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
    conf_take_path, conf_take_policy, conf_take_exclude;

#define CONF_SECONDS   "seconds from 1 to 900, at most 3 decimals"
#define CONF_CLIENTS   "a number from 1 to 1024"
#define CONF_MODE      "an octal mode of read and write bits, such as 0660"
#define CONF_PATH      "an absolute path"
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
	{ "fs_group", conf_take_group, CONF_AT(cf_fs), CONF_GROUP, "root" },
	{ "app_mode", conf_take_mode, CONF_AT(cf_app), CONF_MODE, "0660" },
	{ "app_owner", conf_take_owner, CONF_AT(cf_app), CONF_USER, "root" },
	{ "app_group", conf_take_group, CONF_AT(cf_app), CONF_GROUP, "root" },
	{ "trace", conf_take_path, CONF_AT(cf_trace), CONF_PATH, "none" },
	{ "policy", conf_take_policy, 0, "normal or strict", "normal" },
	{ "exclude", conf_take_exclude, 0,
	    "a glob of mount points, 64 times at most", "none" },
	{ "freezer", conf_take_path, CONF_AT(cf_freezer), CONF_PATH,
	    "as installed" },
	{ "run_dir", conf_take_path, CONF_AT(cf_run_dir), CONF_PATH,
	    "/run/hv_vss" },
	{ "guard", conf_take_path, CONF_AT(cf_guard),
	    CONF_PATH ", or nothing", "none" }
};
/* clang-format on */

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
conf_take_limit(struct conf *cf, const struct conf_key *ck, const char *value)
{
	uint32_t ms;

	if (!conf_milliseconds(value, &ms) || ms < CONF_LIMIT_MIN_MS ||
	    ms > CONF_LIMIT_MAX_MS)
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

static struct conf_node *
conf_node(struct conf *cf, const struct conf_key *ck)
{
	return (ck->ck_field == CONF_AT(cf_fs) ? &cf->cf_fs : &cf->cf_app);
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
	else if (*value != '/')
		return (false);
	*field = value;
	return (true);
}

static bool
conf_take_exclude(struct conf *cf, const struct conf_key *ck, const char *value)
{
	(void)ck;
	if (*value == '\0' || cf->cf_nexclude == CONF_EXCLUDE_MAX)
		return (false);
	cf->cf_exclude[cf->cf_nexclude++] = value;
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
	cf->cf_run_dir = "/run/hv_vss";
}

int
conf_set(struct conf *cf, const char *arg, char *err, size_t errlen)
{
	const struct conf_key *ck;
	const char *value;
	size_t i, len;

	value = strchr(arg, '=');
	if (value == NULL) {
		snprintf(err, errlen, "%s: a setting is KEY=VALUE", arg);
		return (EINVAL);
	}
	len = (size_t)(value - arg);
	for (i = 0; i < VSS_NELEM(conf_keys); i++) {
		ck = &conf_keys[i];
		if (strlen(ck->ck_name) != len ||
		    strncmp(ck->ck_name, arg, len) != 0)
			continue;
		if (ck->ck_take(cf, ck, value + 1))
			return (0);
		snprintf(err, errlen, "%s=%s: not allowed; %s is %s",
		    ck->ck_name, value + 1, ck->ck_name, ck->ck_allowed);
		return (EINVAL);
	}
	snprintf(err, errlen, "%.*s: no such setting; --help lists them",
	    (int)len, arg);
	return (EINVAL);
}

/* Makes limit fit into the one that it is part of, or refuses. */
static int
conf_within(struct conf *cf, enum conf_limit limit, enum conf_limit whole,
    char *err, size_t errlen)
{
	uint32_t ms = cf->cf_limit_ms[limit], max = cf->cf_limit_ms[whole];

	if (ms <= max)
		return (0);
	if (!cf->cf_limit_set[limit]) {
		cf->cf_limit_ms[limit] = max;
		return (0);
	}
	snprintf(err, errlen,
	    "%s=%u.%03u: longer than %s, %u.%03u s, which it is part of",
	    conf_limit_name(limit), ms / 1000, ms % 1000,
	    conf_limit_name(whole), max / 1000, max % 1000);
	return (EINVAL);
}

/* prepare leaves room for what follows it; thaw_fs leaves half for resume. */
static void
conf_derive(struct conf *cf)
{
	uint32_t freeze = cf->cf_limit_ms[CONF_FREEZE];
	uint32_t thaw = cf->cf_limit_ms[CONF_THAW];

	if (!cf->cf_limit_set[CONF_PREPARE]) {
		if (freeze >= CONF_AFTER_PREPARE_MS + CONF_LIMIT_MIN_MS)
			freeze -= CONF_AFTER_PREPARE_MS;
		else
			freeze /= 2;
		cf->cf_limit_ms[CONF_PREPARE] = freeze;
	}
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
	size_t i;

	conf_derive(cf);
	for (i = 0; i < VSS_NELEM(parts); i++)
		if (conf_within(cf, parts[i][0], parts[i][1], err, errlen) != 0)
			return (EINVAL);
	if (cf->cf_max_clients_per_uid <= cf->cf_max_clients)
		return (0);
	if (cf->cf_max_per_uid_set) {
		snprintf(err, errlen,
		    "max_clients_per_uid=%u: more than max_clients, %u",
		    cf->cf_max_clients_per_uid, cf->cf_max_clients);
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

/* The limits are the first keys of the table, in the order of the enum. */
const char *
conf_limit_name(enum conf_limit limit)
{
	return (conf_keys[limit].ck_name);
}

void
conf_help(FILE *fp)
{
	size_t i;

	for (i = 0; i < VSS_NELEM(conf_keys); i++)
		fprintf(fp, "  %-19s %s (%s)\n", conf_keys[i].ck_name,
		    conf_keys[i].ck_allowed, conf_keys[i].ck_default);
}
