/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* What all transports share: their names, and when to try again. */

#include "drv_link.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "report.h"

/* A host that goes away and comes back is met soon; an absent one costs little.
 */
#define LINK_PAUSE_MIN_NS (20 * VSS_NS_PER_MS)
#define LINK_PAUSE_MAX_NS (500 * VSS_NS_PER_MS)

#define LINK_UTILS_PATH	  "/dev/vmbus/hv_vss"

static int
link_init_emu(struct link *ln, const char *path, char *err)
{
	struct sockaddr_un sun;

	if (*path == '\0') {
		snprintf(err, LINK_ERR_MAX,
		    "--transport emu: no socket; use emu:SOCKET");
		return (EINVAL);
	}
	if (strlen(path) >= sizeof(sun.sun_path)) {
		snprintf(err, LINK_ERR_MAX,
		    "%.60s...: the socket's path is longer than %zu bytes; "
		    "use a shorter one",
		    path, sizeof(sun.sun_path) - 1);
		return (EINVAL);
	}
	ln->ln_ops = &link_emu_ops;
	ln->ln_path = path;
	return (0);
}

static int
link_init_utils(struct link *ln, const char *path, char *err)
{
	if (*path != '/') {
		snprintf(err, LINK_ERR_MAX,
		    "--transport hv_utils:%s: the path of the device must be "
		    "absolute",
		    path);
		return (EINVAL);
	}
	ln->ln_ops = &link_utils_ops;
	ln->ln_path = path;
	return (0);
}

int
link_init(struct link *ln, const char *text, char *err)
{
	memset(ln, 0, sizeof(*ln));
	ln->ln_retry_ns = VSS_ENGINE_NEVER;
	ln->ln_pause_ns = LINK_PAUSE_MIN_NS;
	ln->ln_utils_fd = -1;
	emulink_init(&ln->ln_emu);
	if (strncmp(text, "emu:", 4) == 0)
		return (link_init_emu(ln, text + 4, err));
	if (strcmp(text, "hv_utils") == 0)
		return (link_init_utils(ln, LINK_UTILS_PATH, err));
	if (strncmp(text, "hv_utils:", 9) == 0)
		return (link_init_utils(ln, text + 9, err));
	snprintf(err, LINK_ERR_MAX,
	    "--transport %.100s: not a transport; use emu:SOCKET or "
	    "hv_utils[:PATH]",
	    text);
	return (EINVAL);
}

void
link_down(struct link *ln, uint64_t now_ns)
{
	ln->ln_ops->lo_close(ln);
	ln->ln_up = false;
	ln->ln_retry_ns = now_ns + ln->ln_pause_ns;
	ln->ln_pause_ns *= 2;
	if (ln->ln_pause_ns > LINK_PAUSE_MAX_NS)
		ln->ln_pause_ns = LINK_PAUSE_MAX_NS;
}

void
link_up(struct link *ln)
{
	ln->ln_up = true;
	ln->ln_retry_ns = VSS_ENGINE_NEVER;
	ln->ln_pause_ns = LINK_PAUSE_MIN_NS;
	ln->ln_told = false;
	report(REPORT_NOTICE, "%s: connected to the host", ln->ln_path);
}
