/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* Reads what the driver says of itself (status_read.h). */

#include "status_read.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int
status_ask(struct status_doc *sd, const char *run_dir, char *err, size_t errlen)
{
	int error;

	memset(sd, 0, sizeof(*sd));
	error = status_text(sd, run_dir, err, errlen);
	if (error == 0) {
		error = json_parse(&sd->sd_json, sd->sd_text, sd->sd_len);
		if (error == 0)
			return (0);
		(void)snprintf(err, errlen, "%s/status.sock: %s (%s)", run_dir,
		    strerror(error), "is it the driver's?");
	}
	status_free(sd);
	return (error);
}

void
status_free(struct status_doc *sd)
{
	json_free(&sd->sd_json);
	free(sd->sd_text);
	memset(sd, 0, sizeof(*sd));
}
