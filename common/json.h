/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * JSON, written into a buffer of the caller's and read from one: what the
 * status socket says and what the history is made of.
 *
 * No library: the driver and the daemon are locked in memory and must not
 * allocate while anything is frozen, and FreeBSD's base system, on which all of
 * this has to build, has none that programs may use (its libucl is private).
 * Our own documents are all that is read, but a history file may be torn and a
 * socket may be anybody's: the reader takes nothing that is not JSON, no deeper
 * than JSON_DEPTH_MAX.
 */

#ifndef _JSON_H_
#define _JSON_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSON_DEPTH_MAX 16

/*
 * Writer.  Members and elements are separated by themselves; a NULL key is an
 * element of an array, or the document.  What does not fit is left out and
 * jo_full set; nothing is written behind jo_cap.
 */
struct json_out {
	char *jo_buf; /* NUL-terminated */
	size_t jo_cap;
	size_t jo_len;
	bool jo_full;
	bool jo_comma; /* the next member needs one */
};

void json_out_init(struct json_out *jo, char *buf, size_t cap);
void json_open(struct json_out *jo, const char *key, char bracket);
void json_close(struct json_out *jo, char bracket);
/* value NULL: null.  What is not UTF-8 becomes U+FFFD. */
void json_text(struct json_out *jo, const char *key, const char *value);
void json_number(struct json_out *jo, const char *key, uint64_t value);
void json_bool(struct json_out *jo, const char *key, bool value);
/* Nanoseconds as milliseconds, with three decimals. */
void json_ms(struct json_out *jo, const char *key, uint64_t ns);
/* Text that is JSON already. */
void json_raw(struct json_out *jo, const char *key, const char *value);

/* How many bytes at s are one character of UTF-8; 0: they are none. */
size_t json_utf8(const char *s);

/* Reader. */
enum json_type {
	JSON_NULL,
	JSON_BOOL,
	JSON_NUMBER,
	JSON_STRING,
	JSON_ARRAY,
	JSON_OBJECT
};

/* A value; those within it follow it, a member's key right before its value. */
struct json_value {
	enum json_type jv_type;
	const char *jv_text; /* in the text: without the quotes of a string */
	size_t jv_len;
	size_t jv_span; /* values from this one to what follows it */
};

struct json_doc {
	struct json_value *jd_values; /* [0] is the document */
	size_t jd_nvalues;
	size_t jd_cap;
};

/*
 * Reads one value and blanks around it.  The text must stay, and a NUL follow
 * its len bytes.  0; EINVAL
 * when it is not JSON, ENOMEM.  json_free() frees, after either.
 */
int json_parse(struct json_doc *jd, const char *text, size_t len);
void json_free(struct json_doc *jd);

/* A member of an object; NULL if there is none, or jv is NULL or no object. */
const struct json_value *json_get(const struct json_value *jv, const char *key);
/* The elements of an array: the first, and the one after; NULL: none. */
const struct json_value *json_first(const struct json_value *array);
const struct json_value *json_next(
    const struct json_value *array, const struct json_value *jv);

/* A string's text, cut to cap; empty if jv is NULL or no string. */
void json_copy(const struct json_value *jv, char *buf, size_t cap);
bool json_is(const struct json_value *jv, const char *text);
/* A whole number, 0 if it is none; milliseconds as nanoseconds; true. */
uint64_t json_whole(const struct json_value *jv);
uint64_t json_ns(const struct json_value *jv);
bool json_true(const struct json_value *jv);

#endif /* _JSON_H_ */
