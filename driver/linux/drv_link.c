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

static int
link_init_uio(struct link *ln, const char *wanted, char *err)
{
	uint8_t guid[GUID_LEN];

	if (*wanted != '\0' && !guid_parse(wanted, guid)) {
		snprintf(err, LINK_ERR_MAX,
		    "--transport uio:%.60s: not the UUID of a device of the "
		    "VMBus, as below /sys/bus/vmbus/devices",
		    wanted);
		return (EINVAL);
	}
	ln->ln_ops = &link_uio_ops;
	ln->ln_path = *wanted != '\0' ? wanted : "uio";
	ln->ln_uio.lu_wanted = wanted;
	return (0);
}

static int
link_init_transport(struct link *ln, const char *text, char *err)
{
	if (strncmp(text, "emu:", 4) == 0)
		return (link_init_emu(ln, text + 4, err));
	if (strcmp(text, "hv_utils") == 0)
		return (link_init_utils(ln, LINK_UTILS_PATH, err));
	if (strncmp(text, "hv_utils:", 9) == 0)
		return (link_init_utils(ln, text + 9, err));
	if (strcmp(text, "uio") == 0)
		return (link_init_uio(ln, "", err));
	if (strncmp(text, "uio:", 4) == 0)
		return (link_init_uio(ln, text + 4, err));
	snprintf(err, LINK_ERR_MAX,
	    "--transport %.100s: not a transport; use emu:SOCKET, "
	    "hv_utils[:PATH] or uio[:UUID]",
	    text);
	return (EINVAL);
}

int
link_init(struct link *ln, const char *text, bool bind, char *err)
{
	int error;

	memset(ln, 0, sizeof(*ln));
	ln->ln_retry_ns = VSS_ENGINE_NEVER;
	ln->ln_pause_ns = LINK_PAUSE_MIN_NS;
	ln->ln_utils_fd = ln->ln_uio.lu_fd = -1;
	emulink_init(&ln->ln_emu);
	error = link_init_transport(ln, text, err);
	if (error == 0 && bind && ln->ln_ops != &link_uio_ops) {
		snprintf(err, LINK_ERR_MAX,
		    "--bind: only --transport uio has a device to bind");
		return (EINVAL);
	}
	ln->ln_uio.lu_bind = bind;
	return (error);
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
link_lost(struct link *ln, const char *why, uint64_t now_ns)
{
	if (!ln->ln_told)
		report(REPORT_NOTICE, "%s: %s; waiting for the host",
		    ln->ln_path, why);
	ln->ln_told = true;
	link_down(ln, now_ns);
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
