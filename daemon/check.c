/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * Prints the plan: for people in columns as wide as they must be, with the
 * order of the freezes, and a last line that can be acted on; or as JSON.
 */

#include "check.h"

#include <string.h>

#include "json.h"

#define ERR_LEN 512

static int
width(const char *s)
{
	return ((int)strlen(s));
}

/*
 * A column with two blanks after it, or, with pad 0, the last one.  Mount
 * points are others' text: what is not printable is shown as '?'.
 */
static void
print_text(FILE *out, const char *s, int pad)
{
	for (int i = 0; s[i] != '\0'; i++)
		(void)fputc(
		    (unsigned char)s[i] < ' ' || s[i] == 127 ? '?' : s[i], out);
	if (pad > 0)
		(void)fprintf(
		    out, "%*s", pad > width(s) ? pad - width(s) + 2 : 2, "");
}

struct columns {
	int co_point;
	int co_type;
	int co_device;
};

/* With the step, counted from 1, where the order matters. */
static void
print_action(FILE *out, const struct plan *pn, const struct plan_line *pl)
{
	char action[32];
	int len;

	len = snprintf(
	    action, sizeof(action), "%s", plan_action_name(pl->pl_action));
	if (pn->pn_nlevels > 1 && pl->pl_action == PLAN_FREEZE)
		(void)snprintf(action + len, sizeof(action) - (size_t)len,
		    " %u", pl->pl_level + 1);
	(void)fprintf(out, "%-*s  ", pn->pn_nlevels > 1 ? 8 : 6, action);
}

static void
print_line(FILE *out, const struct plan *pn, const struct plan_line *pl,
    const struct columns *co)
{
	print_action(out, pn, pl);
	print_text(out, pl->pl_point, co->co_point);
	print_text(out, pl->pl_type, co->co_type);
	print_text(out, pl->pl_device, co->co_device);
	print_text(out, pl->pl_reason, 0);
	(void)fputc('\n', out);
}

static int
at_most(int a, int most)
{
	return (a < most ? a : most);
}

/* One that is very long does not push the others' columns away. */
static void
measure(const struct plan *pn, struct columns *co)
{
	const struct plan_line *pl;

	for (size_t i = 0; i < pn->pn_nlines; i++) {
		pl = &pn->pn_lines[i];
		if (width(pl->pl_point) > co->co_point)
			co->co_point = at_most(width(pl->pl_point), 32);
		if (width(pl->pl_type) > co->co_type)
			co->co_type = at_most(width(pl->pl_type), 12);
		if (width(pl->pl_device) > co->co_device)
			co->co_device = at_most(width(pl->pl_device), 24);
	}
}

static void
print_verdict(FILE *out, const struct plan *pn)
{
	if (pn->pn_veto != NULL) {
		(void)fprintf(out, "A backup would be refused: ");
		print_text(out, pn->pn_veto, 0);
		(void)fputc('\n', out);
		return;
	}
	(void)fprintf(
	    out, "A backup would work: %zu frozen", pn->pn_count[PLAN_FREEZE]);
	if (pn->pn_nlevels > 1)
		(void)fprintf(
		    out, " in %u steps, in that order", pn->pn_nlevels);
	(void)fprintf(out, ", %zu flushed, %zu left alone.\n",
	    pn->pn_count[PLAN_SYNC], pn->pn_count[PLAN_LEAVE]);
}

static void
print_plan(FILE *out, const struct plan *pn, enum check_form form)
{
	struct columns co = { 0 };

	measure(pn, &co);
	for (size_t i = 0; i < pn->pn_nlines; i++)
		print_line(out, pn, &pn->pn_lines[i], &co);
	if (form == CHECK_TEXT || pn->pn_veto != NULL)
		print_verdict(out, pn);
}

/* Names of mounts may be any bytes. */
static void
print_json_string(FILE *out, const char *value)
{
	const unsigned char *s = (const unsigned char *)value;
	size_t n;

	(void)fputc('"', out);
	for (; *s != '\0'; s += n == 0 ? 1 : n) {
		n = json_utf8((const char *)s);
		if (n == 0)
			(void)fputs("\\ufffd", out);
		else if (*s < ' ' || *s == 127)
			(void)fprintf(out, "\\u%04x", *s);
		else if (*s == '"' || *s == '\\')
			(void)fprintf(out, "\\%c", *s);
		else
			(void)fwrite(s, 1, n, out);
	}
	(void)fputc('"', out);
}

static void
print_json_text(FILE *out, const char *key, const char *value)
{
	(void)fprintf(out, "\"%s\":", key);
	if (value == NULL)
		(void)fputs("null", out);
	else
		print_json_string(out, value);
}

static void
print_json_line(FILE *out, const struct plan_line *pl)
{
	const char *sep = "";

	(void)fputc('{', out);
	print_json_text(out, "action", plan_action_name(pl->pl_action));
	if (pl->pl_action == PLAN_FREEZE)
		(void)fprintf(out, ",\"step\":%u", pl->pl_level + 1);
	(void)fputc(',', out);
	print_json_text(out, "mount", pl->pl_point);
	(void)fputc(',', out);
	print_json_text(out, "type", pl->pl_type);
	(void)fputc(',', out);
	print_json_text(out, "device", pl->pl_device);
	(void)fprintf(
	    out, ",\"major\":%u,\"minor\":%u,", pl->pl_major, pl->pl_minor);
	print_json_text(out, "reason", pl->pl_reason);
	if (pl->pl_action == PLAN_VETO) {
		(void)fputs(",\"remedies\":[", out);
		for (int i = 0; i < PLAN_NREMEDIES; i++) {
			if (pl->pl_remedy[i] == NULL)
				continue;
			(void)fputs(sep, out);
			print_json_string(out, pl->pl_remedy[i]);
			sep = ",";
		}
		(void)fputc(']', out);
	}
	(void)fputc('}', out);
}

/* One object; refused is NULL if a backup would work. */
static void
print_json_plan(FILE *out, const struct plan *pn, const char *refused)
{
	(void)fprintf(
	    out, "{\"works\":%s,", refused == NULL ? "true" : "false");
	print_json_text(out, "refused", refused);
	for (int i = 0; i < PLAN_NACTIONS; i++)
		(void)fprintf(out, ",\"%s\":%zu",
		    plan_action_name((enum plan_action)i), pn->pn_count[i]);
	(void)fprintf(out, ",\"steps\":%u,\"mounts\":[", pn->pn_nlevels);
	for (size_t i = 0; i < pn->pn_nlines; i++) {
		(void)fputs(i == 0 ? "\n" : ",\n", out);
		print_json_line(out, &pn->pn_lines[i]);
	}
	(void)fputs("]}\n", out);
}

int
check_print(
    const struct plan_policy *pp, enum check_form form, FILE *out, FILE *err)
{
	char text[ERR_LEN];
	struct plan pn;
	int status;

	if (plan_make(&pn, pp, text, sizeof(text)) != 0) {
		(void)fprintf(err, "check: %s\n", text);
		if (form == CHECK_JSON)
			print_json_plan(out, &pn, text);
		return (1);
	}
	if (form == CHECK_JSON)
		print_json_plan(out, &pn, pn.pn_veto);
	else
		print_plan(out, &pn, form);
	status = pn.pn_veto == NULL ? 0 : 1;
	plan_free(&pn);
	/* Nobody is to take what was cut short for the whole. */
	return (fflush(out) == 0 && ferror(out) == 0 ? status : 1);
}
