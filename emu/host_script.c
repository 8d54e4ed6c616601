/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* The actions of hv_vss_host's command line, as a script to be run. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "guid.h"
#include "host.h"

/* What stands behind an action's name. */
enum script_arg {
	SCRIPT_NOTHING,
	SCRIPT_MS,
	SCRIPT_COMMAND, /* taken as it is, a closing & included */
	SCRIPT_HEX
};

static const struct script_word {
	const char *sw_name;
	enum script_arg sw_arg;
	bool sw_request;
	bool sw_hvutils; /* the stand-in can do it */
} script_words[] = {
	[HOST_NEGOTIATE] = { "negotiate", SCRIPT_NOTHING, true, true },
	[HOST_CHECK] = { "check", SCRIPT_NOTHING, true, true },
	[HOST_FREEZE] = { "freeze", SCRIPT_NOTHING, true, true },
	[HOST_THAW] = { "thaw", SCRIPT_NOTHING, true, true },
	[HOST_DM_INFO] = { "dm-info", SCRIPT_NOTHING, true, true },
	[HOST_COMPLETE] = { "complete", SCRIPT_NOTHING, true, true },
	[HOST_RAW] = { "raw", SCRIPT_HEX, true, false },
	[HOST_RESCIND] = { "rescind", SCRIPT_NOTHING, false, false },
	[HOST_HOLD] = { "hold", SCRIPT_MS, false, true },
	[HOST_SNAPSHOT] = { "snapshot", SCRIPT_COMMAND, false, true },
	[HOST_CHECKPOINT] = { "checkpoint", SCRIPT_COMMAND, false, true },
	[HOST_WAIT] = { "wait", SCRIPT_NOTHING, false, true },
};

/* A hold of a week is a slip of the keyboard. */
#define SCRIPT_HOLD_MAX_MS 86400000ULL

const char *
host_op_name(enum host_op op)
{
	return (script_words[op].sw_name);
}

static int
script_ms(const char *text, uint64_t *ns)
{
	unsigned long long ms;
	char *end;

	errno = 0;
	ms = strtoull(text, &end, 10);
	if (errno != 0 || *text < '0' || *text > '9' || *end != '\0' ||
	    ms > SCRIPT_HOLD_MAX_MS)
		return (-1);
	*ns = ms * VSS_NS_PER_MS;
	return (0);
}

static int
script_nibble(char c)
{
	if (c >= '0' && c <= '9')
		return (c - '0');
	if (c >= 'a' && c <= 'f')
		return (c - 'a' + 10);
	if (c >= 'A' && c <= 'F')
		return (c - 'A' + 10);
	return (-1);
}

/* The bytes of n hex digits; -1 when they are none. */
static int
script_hex(const char *text, size_t n, struct host_action *ha)
{
	size_t i;
	int hi, lo;

	if (n % 2 != 0)
		return (-1);
	ha->ha_raw_len = (uint32_t)(n / 2);
	ha->ha_raw = calloc(1, n / 2 + 1);
	if (ha->ha_raw == NULL)
		return (-1);
	for (i = 0; i < n; i += 2) {
		hi = script_nibble(text[i]);
		lo = script_nibble(text[i + 1]);
		if (hi < 0 || lo < 0)
			return (-1);
		ha->ha_raw[i / 2] = (uint8_t)(hi << 4 | lo);
	}
	return (0);
}

/* The operation whose name is the first len bytes of word, or -1. */
static int
script_find(const char *word, size_t len)
{
	size_t i;

	for (i = 0; i < VSS_NELEM(script_words); i++)
		if (strlen(script_words[i].sw_name) == len &&
		    memcmp(script_words[i].sw_name, word, len) == 0)
			return ((int)i);
	return (-1);
}

/* What is wrong with the argument of an action, or NULL. */
static const char *
script_argument(
    struct host_action *ha, const char *word, const char *arg, size_t len)
{
	switch (script_words[ha->ha_op].sw_arg) {
	case SCRIPT_NOTHING:
		return (arg == NULL ? NULL : "takes no argument");
	case SCRIPT_MS:
		if (arg == NULL || script_ms(arg, &ha->ha_ns) != 0)
			return ("give milliseconds, as in hold=500");
		return (NULL);
	case SCRIPT_COMMAND:
		if (arg == NULL || *arg == '\0')
			return ("give a command, as in snapshot='cp a b'");
		ha->ha_cmd = arg;
		return (NULL);
	case SCRIPT_HEX:
		if (arg == NULL ||
		    script_hex(arg, len - (size_t)(arg - word), ha) != 0)
			return ("give bytes as pairs of hex digits, as in "
				"raw=0100");
		return (NULL);
	}
	return (NULL);
}

/* Parses one action.  Returns what is wrong with it, or NULL. */
static const char *
script_action(const struct host *ho, const char *word, struct host_action *ha)
{
	const struct script_word *sw;
	const char *arg;
	size_t len, name_len;
	int op;

	memset(ha, 0, sizeof(*ha));
	len = strlen(word);
	arg = strchr(word, '=');
	name_len = arg != NULL ? (size_t)(arg - word) : len;
	if (arg != NULL)
		arg++;
	else if (len > 0 && word[len - 1] == '&')
		name_len--;
	op = script_find(word, name_len);
	if (op < 0)
		return ("no such action");
	ha->ha_op = (enum host_op)op;
	sw = &script_words[op];
	if (!sw->sw_hvutils && ho->ho_hvutils)
		return ("not possible with --hv-utils");
	if (sw->sw_arg != SCRIPT_COMMAND && word[len - 1] == '&') {
		if (!sw->sw_request)
			return ("only a request can be sent without waiting");
		ha->ha_async = true;
		len--;
	}
	return (script_argument(ha, word, arg, len));
}

int
host_script(struct host *ho, char *const *argv, int argc)
{
	const char *wrong;
	int i;

	ho->ho_actions = calloc((size_t)argc, sizeof(*ho->ho_actions));
	if (ho->ho_actions == NULL) {
		host_warn(NULL, "%s", strerror(errno));
		return (-1);
	}
	for (i = 0; i < argc; i++) {
		wrong = script_action(ho, argv[i], &ho->ho_actions[i]);
		ho->ho_nactions++;
		if (wrong != NULL) {
			host_warn(NULL, "%s: %s; see hv_vss_host --help",
			    argv[i], wrong);
			return (-1);
		}
	}
	return (0);
}

void
host_script_free(struct host *ho)
{
	uint32_t i;

	for (i = 0; i < ho->ho_nactions; i++)
		free(ho->ho_actions[i].ha_raw);
	free(ho->ho_actions);
	ho->ho_actions = NULL;
	ho->ho_nactions = 0;
}

/* A number from 0 to 255 that ends with that character; behind it, or NULL. */
static const char *
script_byte(const char *text, char last, uint8_t *byte)
{
	unsigned long n;
	char *end;

	if (text == NULL || *text < '0' || *text > '9')
		return (NULL);
	n = strtoul(text, &end, 10);
	if (n > UINT8_MAX || *end != last)
		return (NULL);
	*byte = (uint8_t)n;
	return (end + 1);
}

int
host_script_lun(struct host *ho, const char *text)
{
	struct vss_wire_lun *wl = &ho->ho_luns[ho->ho_nluns];
	const char *rest = strchr(text, ':');
	char guid[GUID_TEXT] = "";

	if (ho->ho_nluns == VSS_WIRE_LUN_MAX) {
		host_warn(NULL, "--lun: at most %d disks can be named",
		    VSS_WIRE_LUN_MAX);
		return (-1);
	}
	if (rest != NULL && rest - text < GUID_TEXT)
		memcpy(guid, text, (size_t)(rest++ - text));
	rest = script_byte(rest, ':', &wl->wl_port);
	rest = script_byte(rest, ':', &wl->wl_target);
	if (script_byte(rest, '\0', &wl->wl_lun) == NULL ||
	    !guid_parse(guid, wl->wl_controller)) {
		host_warn(NULL,
		    "--lun %s: not CONTROLLER:PORT:TARGET:LUN, a GUID and "
		    "three numbers from 0 to 255",
		    text);
		return (-1);
	}
	ho->ho_nluns++;
	return (0);
}
