/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * Asks the driver how it is (hv_vss_status(5)): on Linux through its socket in
 * the run directory (status_linux.c), on FreeBSD the module's sysctls
 * (status_freebsd.c).
 */

#ifndef _STATUS_READ_H_
#define _STATUS_READ_H_

#include <stddef.h>

#include "json.h"

#define STATUS_WAIT_MS	10000	  /* for an answer, at most */
#define STATUS_DOC_MAX	(4 << 20) /* no document is longer */
#define STATUS_LINE_MAX 262144	  /* nor is a checkpoint */

/* A driver's answer; status_free(). */
struct status_doc {
	char *sd_text;
	size_t sd_len;
	struct json_doc sd_json;
};

/*
 * Sends a request; a descriptor to read the answer from, which does not block,
 * or -1 with a line in err.  Does not wait for a driver that is stopped.  On
 * FreeBSD nobody answers.
 */
int status_request(
    const char *run_dir, const char *request, char *err, size_t errlen);

/* The status as a whole.  0, or an errno with a line in err. */
int status_ask(
    struct status_doc *sd, const char *run_dir, char *err, size_t errlen);
void status_free(struct status_doc *sd);

/* Its text, in the system's way. */
int status_text(
    struct status_doc *sd, const char *run_dir, char *err, size_t errlen);

#endif /* _STATUS_READ_H_ */
