/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The transport to the host itself: the raw VSS channel, which the kernel's
 * uio_hv_generic hands to user space (PROTOCOL.md section 7.2).  Both rings are
 * mapped, one half each; a read of four bytes tells that there were interrupts,
 * a write of 1 unmasks them and signals the host.
 *
 * Older kernels mask interrupts in each of them, newer ones never: the mask is
 * taken back after each, in the ring itself, since a write would signal the
 * host as well.  EIO is a rescind; the channel may be offered again.
 */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "drv_bus.h"
#include "drv_ring.h"
#include "report.h"
#include "sysfs.h"

#define UIO_COMMANDS_MAX 320
#define UIO_WHY_MAX	 400
#define UIO_RINGS	 "txrx_rings"

static void
link_uio_close(struct link *ln)
{
	struct link_uio *lu = &ln->ln_uio;

	if (lu->lu_mem != NULL)
		(void)munmap(lu->lu_mem, lu->lu_len);
	if (lu->lu_fd != -1)
		(void)close(lu->lu_fd);
	lu->lu_mem = NULL;
	lu->lu_fd = -1;
}

/* 1 unmasks interrupts and signals the host. */
static int
link_uio_signal(const struct link_uio *lu)
{
	const int32_t one = 1;

	return (write(lu->lu_fd, &one, sizeof(one)) == sizeof(one) ? 0 : errno);
}

/* How long the map of the rings is; 0 or an errno. */
static int
link_uio_map_len(const struct link_uio *lu, size_t *len)
{
	char dir[PATH_MAX], line[64];
	unsigned long long size;

	(void)snprintf(dir, sizeof(dir), BUS_DEVICES "/%s/uio/%s/maps/map0",
	    lu->lu_dev.bd_guid, lu->lu_dev.bd_uio);
	if (!sysfs_line(dir, "name", line, sizeof(line)) ||
	    strcmp(line, UIO_RINGS) != 0 ||
	    !sysfs_line(dir, "size", line, sizeof(line)))
		return (ENXIO);
	size = strtoull(line, NULL, 0);
	if (size == 0 || size % (2ULL * VMBUS_RING_PAGE) != 0 ||
	    size / 2 > VMBUS_RING_LEN_MAX)
		return (ENXIO);
	*len = (size_t)size;
	return (0);
}

/* Opens the device, which opens the channel, and maps its rings. */
static int
link_uio_map(struct link_uio *lu)
{
	char path[PATH_MAX];
	uint32_t half;
	int error;

	error = link_uio_map_len(lu, &lu->lu_len);
	if (error != 0)
		return (error);
	(void)snprintf(path, sizeof(path), "/dev/%s", lu->lu_dev.bd_uio);
	lu->lu_fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (lu->lu_fd == -1)
		return (errno);
	lu->lu_mem = mmap(
	    NULL, lu->lu_len, PROT_READ | PROT_WRITE, MAP_SHARED, lu->lu_fd, 0);
	if (lu->lu_mem == MAP_FAILED) {
		lu->lu_mem = NULL;
		return (errno);
	}
	half = (uint32_t)(lu->lu_len / 2);
	error = vmbus_ring_init_tx(&lu->lu_tx, lu->lu_mem, half);
	if (error == 0)
		error = vmbus_ring_init_rx(
		    &lu->lu_rx, (uint8_t *)lu->lu_mem + half, half);
	if (error == 0)
		error = link_uio_signal(lu);
	return (error);
}

/* Finds the device, and has it bound; an errno, with why. */
static int
link_uio_find(struct link_uio *lu, char *why, size_t len)
{
	char commands[UIO_COMMANDS_MAX];
	int error;

	error = bus_find(&lu->lu_dev, lu->lu_wanted, why, len);
	if (error != 0 || strcmp(lu->lu_dev.bd_driver, BUS_UIO_DRIVER) == 0)
		return (error);
	if (!lu->lu_bind) {
		bus_commands(&lu->lu_dev, commands, sizeof(commands));
		(void)snprintf(why, len,
		    "the VSS channel is not bound to " BUS_UIO_DRIVER
		    "; give --bind, or run: %s",
		    commands);
		return (EPERM);
	}
	(void)snprintf(
	    lu->lu_driver, sizeof(lu->lu_driver), "%s", lu->lu_dev.bd_driver);
	return (bus_bind(&lu->lu_dev, why, len));
}

/* 0, or an errno with why: ENOSYS, EPERM and ENOTUNIQ are the administrator's.
 */
static int
link_uio_open(struct link *ln, char *why, size_t len)
{
	struct link_uio *lu = &ln->ln_uio;
	int error;

	error = link_uio_find(lu, why, len);
	if (error != 0)
		return (error);
	lu->lu_bound = lu->lu_bind;
	error = link_uio_map(lu);
	if (error == 0)
		return (0);
	(void)snprintf(why, len, "/dev/%s: %s", lu->lu_dev.bd_uio,
	    error == ENXIO   ? "its first map is not that of the rings" :
		error == EIO ? "impossible indices in the rings" :
			       strerror(error));
	/* Its maker puts it into /dev a little later. */
	return (EAGAIN);
}

/* A try; false when trying again does not help, with a line in err. */
static bool
link_uio_try(struct link *ln, uint64_t now_ns, char *err)
{
	char why[UIO_WHY_MAX];
	int error;

	error = link_uio_open(ln, why, sizeof(why));
	if (error == 0)
		link_up(ln);
	else if (error == ENOSYS || error == EPERM || error == ENOTUNIQ) {
		(void)snprintf(err, LINK_ERR_MAX, "--transport %.60s: %s",
		    ln->ln_path, why);
		return (false);
	} else
		link_lost(ln, why, now_ns);
	return (true);
}

static int
link_uio_start(struct link *ln, uint64_t now_ns, char *err)
{
	return (link_uio_try(ln, now_ns, err) ? 0 : EINVAL);
}

static int
link_uio_caps(const struct conf *cf, char *err)
{
	(void)cf;
	(void)err;
	return (0);
}

static unsigned
link_uio_poll(const struct link *ln, struct pollfd *fds)
{
	if (ln->ln_uio.lu_fd == -1)
		return (0);
	fds[0].fd = ln->ln_uio.lu_fd;
	fds[0].events = POLLIN;
	return (1);
}

static void
link_uio_event(
    struct link *ln, const struct pollfd *fds, unsigned nfds, uint64_t now_ns)
{
	struct link_uio *lu = &ln->ln_uio;
	char err[LINK_ERR_MAX];
	int32_t count;
	ssize_t n;

	if (lu->lu_fd == -1) {
		/* What only the administrator can mend is waited for now. */
		if (now_ns >= ln->ln_retry_ns && !link_uio_try(ln, now_ns, err))
			link_lost(ln, err, now_ns);
		return;
	}
	/* What waited for room is sent after every event. */
	if (now_ns >= ln->ln_retry_ns)
		ln->ln_retry_ns = VSS_ENGINE_NEVER;
	if (nfds == 0 || fds[0].revents == 0)
		return;
	n = read(lu->lu_fd, &count, sizeof(count));
	if (n == sizeof(count) ||
	    (n == -1 && (errno == EAGAIN || errno == EINTR)))
		/* Then all is read; what comes from now on is signalled. */
		(void)vmbus_ring_unmask(&lu->lu_rx);
	else
		link_lost(ln,
		    n == -1 && errno != EIO ? strerror(errno) :
					      "the host took the channel away",
		    now_ns);
}

/* Passes a signal on where the ring asked for one. */
static int
link_uio_finish(struct link *ln, int error, bool signal, uint64_t now_ns)
{
	if (error == EIO) {
		link_lost(ln, "the ring is corrupt", now_ns);
		return (ENOTCONN);
	}
	if (signal && link_uio_signal(&ln->ln_uio) != 0) {
		link_lost(ln, "the host took the channel away", now_ns);
		return (ENOTCONN);
	}
	return (error);
}

static int
link_uio_recv(struct link *ln, uint8_t *buf, uint32_t *len, uint64_t *xactid,
    uint64_t now_ns)
{
	bool signal = false;
	int error;

	error = link_ring_recv(&ln->ln_uio.lu_rx, buf, len, xactid, &signal);
	return (link_uio_finish(ln, error, signal, now_ns));
}

static int
link_uio_send(
    struct link *ln, const struct vss_engine_reply *ey, uint64_t now_ns)
{
	bool signal = false;
	int error;

	error = link_ring_send(
	    ln, &ln->ln_uio.lu_tx, &ln->ln_uio.lu_rx, ey, now_ns, &signal);
	return (link_uio_finish(ln, error, signal, now_ns));
}

/* The kernel's own driver has the channel again, if it was taken from it. */
static void
link_uio_stop(struct link *ln)
{
	struct link_uio *lu = &ln->ln_uio;
	const char *driver = *lu->lu_driver != '\0' ? lu->lu_driver :
						      BUS_UTILS_DRIVER;
	int error;

	if (!lu->lu_bound)
		return;
	lu->lu_bound = false;
	error = bus_give_back(&lu->lu_dev, driver);
	if (error != 0)
		report(REPORT_WARNING, "%s: cannot be given back to %s: %s",
		    lu->lu_dev.bd_guid, driver, strerror(error));
}

const struct link_ops link_uio_ops = {
	.lo_name = "uio",
	.lo_start = link_uio_start,
	.lo_caps = link_uio_caps,
	.lo_poll = link_uio_poll,
	.lo_event = link_uio_event,
	.lo_recv = link_uio_recv,
	.lo_send = link_uio_send,
	.lo_close = link_uio_close,
	.lo_stop = link_uio_stop,
};
