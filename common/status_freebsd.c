/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The driver's answer on FreeBSD, made of the module's sysctls (status_read.h):
 * without its clients one by one, and without checkpoints.
 */

#include "status_read.h"

#include <sys/types.h>

#include <sys/sysctl.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf.h"

#define STATUS_NODE "dev.hvvssg.0"
#define STATUS_LEN  4096

/* A sysctl of the module; an errno. */
static int
status_sysctl(const char *name, void *value, size_t len)
{
	char full[64];

	(void)snprintf(full, sizeof(full), STATUS_NODE ".%s", name);
	return (sysctlbyname(full, value, &len, NULL, 0) == 0 ? 0 : errno);
}

/* A number; 0 where there is none. */
static uint64_t
status_number(const char *name)
{
	uint64_t value = 0;

	return (status_sysctl(name, &value, sizeof(value)) == 0 ? value : 0);
}

static void
put_text(struct json_out *jo, const char *key, const char *name)
{
	char text[512];

	/* It is 0.0 until the host has said one. */
	if (status_sysctl(name, text, sizeof(text)) == 0 && text[0] != '\0' &&
	    strcmp(text, "0.0") != 0)
		json_text(jo, key, text);
}

static void
put_numbers(struct json_out *jo)
{
	static const char *const counters[] = { "requests", "replies",
		"dropped", "turned_away" };
	char name[48];
	uint32_t ms;

	json_open(jo, "counters", '{');
	for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++)
		json_number(jo, counters[i], status_number(counters[i]));
	json_close(jo, '}');
	json_open(jo, "limits_ms", '{');
	for (uint32_t i = 0; i < CONF_NLIMITS; i++) {
		(void)snprintf(name, sizeof(name), "limits.%s",
		    conf_limit_name((enum conf_limit)i));
		if (status_sysctl(name, &ms, sizeof(ms)) == 0)
			json_number(jo, name + strlen("limits."), ms);
	}
	json_close(jo, '}');
}

static void
put_status(struct json_out *jo, const char *state)
{
	int besteffort = 0;

	json_open(jo, NULL, '{');
	json_open(jo, "host", '{');
	json_text(jo, "transport", "vmbus");
	json_bool(jo, "connected", status_number("channel") != 0);
	put_text(jo, "framework", "fw_version");
	put_text(jo, "message", "msg_version");
	json_close(jo, '}');
	json_text(jo, "state", state);
	json_bool(jo, "frozen", status_number("frozen") != 0);
	json_bool(jo, "lost", status_number("lost") != 0);
	json_bool(jo, "daemon", status_number("daemon") != 0);
	json_number(jo, "applications", status_number("apps"));
	json_number(jo, "stale", status_number("stale"));
	(void)status_sysctl("besteffort", &besteffort, sizeof(besteffort));
	json_text(jo, "apps", besteffort != 0 ? "besteffort" : "require");
	put_text(jo, "failure", "failure");
	put_numbers(jo);
	json_close(jo, '}');
}

int
status_text(
    struct status_doc *sd, const char *run_dir, char *err, size_t errlen)
{
	struct json_out jo;
	char state[64];
	int error = status_sysctl("state", state, sizeof(state));

	(void)run_dir;
	if (error != 0) {
		(void)snprintf(err, errlen, "%s: %s (%s)", STATUS_NODE,
		    strerror(error),
		    "is hv_vss_guest.ko loaded, and does a host offer its "
		    "backup service to this machine?");
		return (error);
	}
	sd->sd_text = malloc(STATUS_LEN);
	if (sd->sd_text == NULL) {
		(void)snprintf(err, errlen, "%s", strerror(ENOMEM));
		return (ENOMEM);
	}
	json_out_init(&jo, sd->sd_text, STATUS_LEN - 1);
	put_status(&jo, state);
	sd->sd_len = jo.jo_len;
	sd->sd_text[sd->sd_len++] = '\n';
	sd->sd_text[sd->sd_len] = '\0';
	return (0);
}

int
status_request(
    const char *run_dir, const char *request, char *err, size_t errlen)
{
	(void)run_dir;
	(void)request;
	(void)snprintf(err, errlen,
	    "the kernel module says how it is, and no more (see %s)",
	    STATUS_NODE);
	errno = ENOTSUP;
	return (-1);
}
