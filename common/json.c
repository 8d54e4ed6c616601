/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* Writes and reads JSON (json.h).  The writer allocates nothing. */

#include "json.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
json_out_init(struct json_out *jo, char *buf, size_t cap)
{
	memset(jo, 0, sizeof(*jo));
	jo->jo_buf = buf;
	jo->jo_cap = cap;
	buf[0] = '\0';
}

static void
json_put(struct json_out *jo, const char *text, size_t len)
{
	if (jo->jo_full || len >= jo->jo_cap - jo->jo_len) {
		jo->jo_full = true;
		return;
	}
	memcpy(jo->jo_buf + jo->jo_len, text, len);
	jo->jo_len += len;
	jo->jo_buf[jo->jo_len] = '\0';
}

static void
json_puts(struct json_out *jo, const char *text)
{
	json_put(jo, text, strlen(text));
}

size_t
json_utf8(const char *text)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t n = s[0] < 0x80 ? 1 :
	    s[0] < 0xc2	       ? 0 :
	    s[0] < 0xe0	       ? 2 :
	    s[0] < 0xf0	       ? 3 :
	    s[0] < 0xf5	       ? 4 :
				 0;

	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return (0);
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return (0);
	return (n);
}

static void
json_quote(struct json_out *jo, const char *s)
{
	char escaped[8];
	size_t n;

	json_puts(jo, "\"");
	for (; *s != '\0'; s += n == 0 ? 1 : n) {
		n = json_utf8(s);
		if (n == 0)
			json_puts(jo, "\\ufffd");
		else if ((unsigned char)*s < ' ' || *s == 127) {
			snprintf(escaped, sizeof(escaped), "\\u%04x",
			    (unsigned)(unsigned char)*s);
			json_puts(jo, escaped);
		} else {
			if (*s == '"' || *s == '\\')
				json_puts(jo, "\\");
			json_put(jo, s, n);
		}
	}
	json_puts(jo, "\"");
}

static void
json_key(struct json_out *jo, const char *key)
{
	if (jo->jo_comma)
		json_puts(jo, ",");
	jo->jo_comma = true;
	if (key == NULL)
		return;
	json_quote(jo, key);
	json_puts(jo, ":");
}

void
json_open(struct json_out *jo, const char *key, char bracket)
{
	json_key(jo, key);
	json_put(jo, &bracket, 1);
	jo->jo_comma = false;
}

void
json_close(struct json_out *jo, char bracket)
{
	json_put(jo, &bracket, 1);
	jo->jo_comma = true;
}

void
json_text(struct json_out *jo, const char *key, const char *value)
{
	json_key(jo, key);
	if (value == NULL)
		json_puts(jo, "null");
	else
		json_quote(jo, value);
}

void
json_raw(struct json_out *jo, const char *key, const char *value)
{
	json_key(jo, key);
	json_puts(jo, value);
}

void
json_number(struct json_out *jo, const char *key, uint64_t value)
{
	char digits[24];

	snprintf(digits, sizeof(digits), "%" PRIu64, value);
	json_raw(jo, key, digits);
}

void
json_bool(struct json_out *jo, const char *key, bool value)
{
	json_raw(jo, key, value ? "true" : "false");
}

void
json_ms(struct json_out *jo, const char *key, uint64_t ns)
{
	char digits[32];

	snprintf(digits, sizeof(digits), "%" PRIu64 ".%03u", ns / 1000000,
	    (unsigned)(ns / 1000 % 1000));
	json_raw(jo, key, digits);
}

/*
 * Reader: recursive descent, as deep as JSON_DEPTH_MAX.
 */

struct json_in {
	struct json_doc *ji_doc;
	const char *ji_at;
	const char *ji_end;
	int ji_error;
};

static bool
json_fail(struct json_in *ji, int error)
{
	ji->ji_error = error;
	return (false);
}

/* The next byte that is not blank; '\0' at the end. */
static char
json_peek(struct json_in *ji)
{
	while (ji->ji_at < ji->ji_end &&
	    (*ji->ji_at == ' ' || *ji->ji_at == '\t' || *ji->ji_at == '\n' ||
		*ji->ji_at == '\r'))
		ji->ji_at++;
	return (ji->ji_at < ji->ji_end ? *ji->ji_at : '\0');
}

/* A new value; its index.  SIZE_MAX: out of memory. */
static size_t
json_new(struct json_in *ji, enum json_type type)
{
	struct json_doc *jd = ji->ji_doc;
	struct json_value *more;
	size_t cap;

	if (jd->jd_nvalues == jd->jd_cap) {
		cap = jd->jd_cap == 0 ? 64 : 2 * jd->jd_cap;
		more = realloc(jd->jd_values, cap * sizeof(*more));
		if (more == NULL) {
			(void)json_fail(ji, ENOMEM);
			return (SIZE_MAX);
		}
		jd->jd_values = more;
		jd->jd_cap = cap;
	}
	jd->jd_values[jd->jd_nvalues] = (struct json_value) {
		.jv_type = type, .jv_text = ji->ji_at, .jv_span = 1
	};
	return (jd->jd_nvalues++);
}

static bool
json_string(struct json_in *ji)
{
	struct json_value *jv;
	size_t i;

	ji->ji_at++;
	i = json_new(ji, JSON_STRING);
	if (i == SIZE_MAX)
		return (false);
	jv = &ji->ji_doc->jd_values[i];
	for (; ji->ji_at < ji->ji_end && *ji->ji_at != '"'; ji->ji_at++) {
		if ((unsigned char)*ji->ji_at < ' ')
			return (json_fail(ji, EINVAL));
		if (*ji->ji_at == '\\' && ++ji->ji_at == ji->ji_end)
			break;
	}
	if (ji->ji_at == ji->ji_end)
		return (json_fail(ji, EINVAL));
	jv->jv_len = (size_t)(ji->ji_at++ - jv->jv_text);
	return (true);
}

/* A number, true, false or null: whatever is of its letters. */
static bool
json_word(struct json_in *ji)
{
	struct json_value *jv;
	const char *from = ji->ji_at;
	size_t i, len;

	while (ji->ji_at < ji->ji_end &&
	    strchr("+-.0123456789abcdefghijklmnopqrstuvwxyzE", *ji->ji_at) !=
		NULL &&
	    *ji->ji_at != '\0')
		ji->ji_at++;
	len = (size_t)(ji->ji_at - from);
	i = json_new(ji, JSON_NUMBER);
	if (i == SIZE_MAX)
		return (false);
	jv = &ji->ji_doc->jd_values[i];
	jv->jv_text = from;
	jv->jv_len = len;
	if ((len == 4 && memcmp(from, "true", 4) == 0) ||
	    (len == 5 && memcmp(from, "false", 5) == 0))
		jv->jv_type = JSON_BOOL;
	else if (len == 4 && memcmp(from, "null", 4) == 0)
		jv->jv_type = JSON_NULL;
	else if (len == 0 || (*from != '-' && (*from < '0' || *from > '9')))
		return (json_fail(ji, EINVAL));
	return (true);
}

static bool json_value(struct json_in *ji, unsigned depth);

static bool
json_member(struct json_in *ji, bool object, unsigned depth)
{
	if (object) {
		if (json_peek(ji) != '"')
			return (json_fail(ji, EINVAL));
		if (!json_string(ji))
			return (false);
		if (json_peek(ji) != ':')
			return (json_fail(ji, EINVAL));
		ji->ji_at++;
	}
	return (json_value(ji, depth + 1));
}

static bool
json_container(struct json_in *ji, bool object, unsigned depth)
{
	struct json_doc *jd = ji->ji_doc;
	char last = object ? '}' : ']';
	size_t i;

	i = json_new(ji, object ? JSON_OBJECT : JSON_ARRAY);
	if (i == SIZE_MAX)
		return (false);
	ji->ji_at++;
	if (json_peek(ji) != last)
		for (;;) {
			if (!json_member(ji, object, depth))
				return (false);
			if (json_peek(ji) != ',')
				break;
			ji->ji_at++;
		}
	if (json_peek(ji) != last)
		return (json_fail(ji, EINVAL));
	ji->ji_at++;
	jd->jd_values[i].jv_len = (size_t)(ji->ji_at -
	    jd->jd_values[i].jv_text);
	jd->jd_values[i].jv_span = jd->jd_nvalues - i;
	return (true);
}

static bool
json_value(struct json_in *ji, unsigned depth)
{
	char c = json_peek(ji);

	if (depth > JSON_DEPTH_MAX)
		return (json_fail(ji, EINVAL));
	if (c == '{' || c == '[')
		return (json_container(ji, c == '{', depth));
	return (c == '"' ? json_string(ji) : json_word(ji));
}

int
json_parse(struct json_doc *jd, const char *text, size_t len)
{
	struct json_in ji = {
		.ji_doc = jd, .ji_at = text, .ji_end = text + len
	};

	memset(jd, 0, sizeof(*jd));
	if (json_value(&ji, 1)) {
		(void)json_peek(&ji);
		if (ji.ji_at == ji.ji_end)
			return (0);
		ji.ji_error = EINVAL;
	}
	jd->jd_nvalues = 0;
	return (ji.ji_error);
}

void
json_free(struct json_doc *jd)
{
	free(jd->jd_values);
	memset(jd, 0, sizeof(*jd));
}

const struct json_value *
json_get(const struct json_value *jv, const char *key)
{
	const struct json_value *at, *end;

	if (jv == NULL || jv->jv_type != JSON_OBJECT)
		return (NULL);
	end = jv + jv->jv_span;
	for (at = jv + 1; at < end; at = at + 1 + at[1].jv_span)
		if (json_is(at, key))
			return (at + 1);
	return (NULL);
}

const struct json_value *
json_first(const struct json_value *array)
{
	if (array == NULL || array->jv_type != JSON_ARRAY ||
	    array->jv_span == 1)
		return (NULL);
	return (array + 1);
}

const struct json_value *
json_next(const struct json_value *array, const struct json_value *jv)
{
	jv += jv->jv_span;
	return (jv < array + array->jv_span ? jv : NULL);
}

bool
json_is(const struct json_value *jv, const char *text)
{
	return (jv != NULL && jv->jv_type == JSON_STRING &&
	    jv->jv_len == strlen(text) &&
	    memcmp(jv->jv_text, text, jv->jv_len) == 0);
}

/* A \uXXXX as UTF-8 into to, which has room for three bytes; their number. */
static size_t
json_unicode(const char *digits, size_t len, char *to)
{
	char hex[5] = "";
	unsigned c;

	memcpy(hex, digits, len < 4 ? len : 4);
	c = (unsigned)strtoul(hex, NULL, 16);
	if (c < 0xa0) {
		to[0] = (char)(c < ' ' || c >= 127 ? '?' : c);
		return (1);
	}
	if (c < 0x800) {
		to[0] = (char)(0xc0 | c >> 6);
		to[1] = (char)(0x80 | (c & 0x3f));
		return (2);
	}
	to[0] = (char)(0xe0 | c >> 12);
	to[1] = (char)(0x80 | (c >> 6 & 0x3f));
	to[2] = (char)(0x80 | (c & 0x3f));
	return (3);
}

/* A character that is there as it is; how many bytes it takes in the text. */
static size_t
json_plain(const char *s, char *to, size_t *used)
{
	size_t n = json_utf8(s);

	if (n == 0) {
		memcpy(to, "\xef\xbf\xbd", 3);
		*used += 3;
		return (1);
	}
	if (*s == 127 || (n == 2 && *s == '\xc2' && (s[1] & 0xe0) == 0x80)) {
		*to = '?';
		*used += 1;
	} else {
		memcpy(to, s, n);
		*used += n;
	}
	return (n);
}

/*
 * What controls a terminal becomes '?', what is not UTF-8 U+FFFD: a text may be
 * somebody else's.
 */
void
json_copy(const struct json_value *jv, char *buf, size_t cap)
{
	const char *s, *end;
	size_t used = 0;

	if (jv != NULL && jv->jv_type == JSON_STRING) {
		end = jv->jv_text + jv->jv_len;
		/* Room for the longest character, and NUL. */
		for (s = jv->jv_text; s < end && used + 5 <= cap;) {
			if (*s != '\\') {
				s += json_plain(s, buf + used, &used);
				continue;
			}
			if (*++s == 'u') {
				used += json_unicode(
				    s + 1, (size_t)(end - s - 1), buf + used);
				s += end - s > 4 ? 5 : end - s;
			} else if (strchr("bfnrt", *s) != NULL) {
				buf[used++] = ' ';
				s++;
			} else
				s += json_plain(s, buf + used, &used);
		}
	}
	buf[used] = '\0';
}

uint64_t
json_whole(const struct json_value *jv)
{
	if (jv == NULL || jv->jv_type != JSON_NUMBER || *jv->jv_text == '-')
		return (0);
	return (strtoull(jv->jv_text, NULL, 10));
}

uint64_t
json_ns(const struct json_value *jv)
{
	const char *point;
	uint64_t ns, unit = 100000;
	size_t i;

	ns = json_whole(jv);
	if (ns > UINT64_MAX / 2000000)
		return (0);
	ns *= 1000000;
	if (jv == NULL || jv->jv_type != JSON_NUMBER ||
	    (point = memchr(jv->jv_text, '.', jv->jv_len)) == NULL)
		return (ns);
	for (i = (size_t)(point - jv->jv_text) + 1; i < jv->jv_len &&
	     unit > 0 && jv->jv_text[i] >= '0' && jv->jv_text[i] <= '9';
	     i++, unit /= 10)
		ns += unit * (uint64_t)(jv->jv_text[i] - '0');
	return (ns);
}

bool
json_true(const struct json_value *jv)
{
	return (jv != NULL && jv->jv_type == JSON_BOOL && *jv->jv_text == 't');
}
