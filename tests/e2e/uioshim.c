/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * Plays the kernel's uio_hv_generic to a driver that it is preloaded into
 * (PROTOCOL.md section 7.2): UIOSHIM_DEVICE can be opened, mapped, read,
 * written and polled, its channel is the ring link at UIOSHIM_SOCKET; and what
 * is written to the attributes below /sys/bus/vmbus, a tree of plain files, has
 * the effect that it has there.  With UIOSHIM_OLD it is the older kernels':
 * each interrupt masks further ones.
 *
 * Unlike the kernel's: the channel has the emulator's rings, not of 2 MiB, and
 * no other maps; the device cannot be opened twice, and is not gone from /dev
 * while it is not bound.  A channel that is taken away leaves the device on the
 * bus, with its number, where the kernel removes it and may give another one to
 * the next; nothing happens by itself when a channel is offered.  The count
 * that is read is that of reads, not of interrupts, and a read does not block.
 * new_id and driver_override are taken as they are, whoever writes them.
 */

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "emulink.h"

#define SHIM_BUS     "/sys/bus/vmbus/"
#define SHIM_UIO     "uio_hv_generic"
#define SHIM_GREET   5000 /* ms that a host may take to greet */
#define SHIM_FDS_MAX 256

#define SHIM_EXPORT  __attribute__((visibility("default")))

static struct emulink shim_link;
static int shim_fd = -1; /* the device: epoll of what it waits for */
static char *shim_path[SHIM_FDS_MAX]; /* attributes that are open */
static uint32_t shim_count;

SHIM_EXPORT int open64(const char *path, int flags, ...);
SHIM_EXPORT void *mmap64(
    void *addr, size_t len, int prot, int flags, int fd, off64_t off);

/* The next one of that name: the C library's. */
static void *
shim_next(const char *name)
{
	void *f = dlsym(RTLD_NEXT, name);

	if (f == NULL)
		abort();
	return (f);
}

static int
shim_real_open(const char *path, int flags, mode_t mode)
{
	int (*f)(const char *, int, ...);

	*(void **)&f = shim_next("open64");
	return (f(path, flags, mode));
}

static int
shim_wait(int fd)
{
	struct epoll_event ev = { .events = EPOLLIN };

	return (epoll_ctl(shim_fd, EPOLL_CTL_ADD, fd, &ev));
}

/* Opens the channel; the host may not be there. */
static int
shim_open_device(void)
{
	struct pollfd pfd;

	emulink_init(&shim_link);
	if (shim_fd != -1) {
		errno = EBUSY;
		return (-1);
	}
	if (emulink_connect(&shim_link, getenv("UIOSHIM_SOCKET")) != 0) {
		errno = ENODEV;
		return (-1);
	}
	pfd.fd = shim_link.el_sock;
	pfd.events = POLLIN;
	while (shim_link.el_state == EMULINK_WAITING)
		if (poll(&pfd, 1, SHIM_GREET) != 1 ||
		    emulink_input(&shim_link) != 0)
			break;
	if (shim_link.el_state != EMULINK_OPEN) {
		emulink_close(&shim_link);
		errno = ENODEV;
		return (-1);
	}
	shim_fd = epoll_create1(EPOLL_CLOEXEC);
	if (shim_fd == -1 || shim_wait(shim_link.el_sock) != 0 ||
	    shim_wait(shim_link.el_event) != 0)
		abort();
	return (shim_fd);
}

int
open64(const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;
	int fd;

	if ((flags & O_CREAT) != 0) {
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
	}
	if (strcmp(path, getenv("UIOSHIM_DEVICE")) == 0)
		return (shim_open_device());
	if (strncmp(path, SHIM_BUS, strlen(SHIM_BUS)) != 0 ||
	    (flags & O_ACCMODE) != O_WRONLY)
		return (shim_real_open(path, flags, mode));
	fd = shim_real_open(path, flags | O_TRUNC, mode);
	if (fd >= 0 && fd < SHIM_FDS_MAX)
		shim_path[fd] = realpath(path, NULL);
	return (fd);
}

/* What the attribute of a file says; "" if it says nothing. */
static void
shim_says(const char *path, char *text, size_t len)
{
	FILE *f = fopen(path, "re");

	if (f == NULL || fgets(text, (int)len, f) == NULL)
		text[0] = '\0';
	text[strcspn(text, "\n")] = '\0';
	if (f != NULL)
		(void)fclose(f);
}

/* The device loses its driver; path is the driver's attribute. */
static int
shim_unbind(const char *path, const char *guid)
{
	char link[PATH_MAX], to[PATH_MAX], at[PATH_MAX], gone[PATH_MAX];

	(void)snprintf(link, sizeof(link), SHIM_BUS "devices/%s/driver", guid);
	if (realpath(link, to) == NULL || strncmp(path, to, strlen(to)) != 0)
		return (ENODEV);
	(void)snprintf(at, sizeof(at), SHIM_BUS "devices/%s/uio", guid);
	(void)snprintf(gone, sizeof(gone), SHIM_BUS "devices/%s/.uio", guid);
	(void)rename(at, gone);
	return (unlink(link) == 0 ? 0 : errno);
}

/* The driver of that attribute takes a device, if it may. */
static int
shim_bind(const char *path, const char *guid)
{
	char base[PATH_MAX / 2], link[PATH_MAX], driver[PATH_MAX / 2], want[64],
	    from[PATH_MAX], to[PATH_MAX];
	const char *name;

	(void)snprintf(driver, sizeof(driver), "%.*s",
	    (int)(strrchr(path, '/') - path), path);
	name = strrchr(driver, '/') + 1;
	(void)snprintf(base, sizeof(base), SHIM_BUS "devices/%s", guid);
	(void)snprintf(link, sizeof(link), "%s/driver_override", base);
	shim_says(link, want, sizeof(want));
	(void)snprintf(link, sizeof(link), "%s/new_id", driver);
	if (want[0] == '\0' && strcmp(name, SHIM_UIO) == 0)
		shim_says(link, want, sizeof(want));
	if (strcmp(name, SHIM_UIO) == 0 ? want[0] == '\0' : want[0] != '\0')
		return (ENODEV);
	(void)snprintf(link, sizeof(link), "%s/driver", base);
	if (symlink(driver, link) != 0)
		return (errno == EEXIST ? EBUSY : errno);
	(void)snprintf(from, sizeof(from), "%s/.uio", base);
	(void)snprintf(to, sizeof(to), "%s/uio", base);
	if (strcmp(name, SHIM_UIO) == 0)
		(void)rename(from, to);
	return (0);
}

/* An attribute is written. */
static int
shim_store(const char *path, const void *text, size_t len)
{
	const char *name = strrchr(path, '/') + 1;
	char guid[64];

	(void)snprintf(
	    guid, sizeof(guid), "%.*s", (int)len, (const char *)text);
	guid[strcspn(guid, "\n")] = '\0';
	if (strcmp(name, "unbind") == 0)
		return (shim_unbind(path, guid));
	if (strcmp(name, "bind") == 0)
		return (shim_bind(path, guid));
	return (0);
}

/* Sets or clears the mask in the ring that the driver reads. */
static void
shim_mask(uint32_t mask)
{
	uint8_t *ctl = (uint8_t *)shim_link.el_mem + shim_link.el_len / 2;

	__atomic_store_n((uint32_t *)(void *)(ctl + VMBUS_RING_O_MASK), mask,
	    __ATOMIC_SEQ_CST);
}

static ssize_t
shim_control(const void *buf, size_t len)
{
	int32_t on;

	if (len != sizeof(on)) {
		errno = EINVAL;
		return (-1);
	}
	memcpy(&on, buf, sizeof(on));
	shim_mask(on == 0);
	if (on != 0 && emulink_signal(&shim_link) != 0) {
		errno = EIO;
		return (-1);
	}
	return (sizeof(on));
}

SHIM_EXPORT ssize_t
write(int fd, const void *buf, size_t len)
{
	ssize_t (*f)(int, const void *, size_t);
	int error;

	if (fd != -1 && fd == shim_fd)
		return (shim_control(buf, len));
	if (fd >= 0 && fd < SHIM_FDS_MAX && shim_path[fd] != NULL) {
		error = shim_store(shim_path[fd], buf, len);
		if (error != 0) {
			errno = error;
			return (-1);
		}
	}
	*(void **)&f = shim_next("write");
	return (f(fd, buf, len));
}

SHIM_EXPORT ssize_t
read(int fd, void *buf, size_t len)
{
	ssize_t (*f)(int, void *, size_t);
	struct pollfd pfd[2] = { { .events = POLLIN }, { .events = POLLIN } };

	*(void **)&f = shim_next("read");
	if (fd == -1 || fd != shim_fd)
		return (f(fd, buf, len));
	pfd[0].fd = shim_link.el_sock;
	pfd[1].fd = shim_link.el_event;
	(void)poll(pfd, 2, 0);
	errno = len != sizeof(shim_count) ? EINVAL :
	    pfd[0].revents != 0		  ? EIO :
					    EAGAIN;
	if (errno != EAGAIN || pfd[1].revents == 0)
		return (-1);
	if (emulink_clear(&shim_link) != 0)
		abort();
	if (getenv("UIOSHIM_OLD") != NULL)
		shim_mask(1);
	shim_count++;
	memcpy(buf, &shim_count, sizeof(shim_count));
	return (sizeof(shim_count));
}

void *
mmap64(void *addr, size_t len, int prot, int flags, int fd, off64_t off)
{
	void *(*f)(void *, size_t, int, int, int, off64_t);

	*(void **)&f = shim_next("mmap64");
	if (fd == -1 || fd != shim_fd)
		return (f(addr, len, prot, flags, fd, off));
	if (off == 0 && len == shim_link.el_len)
		return (shim_link.el_mem);
	errno = EINVAL;
	return (MAP_FAILED);
}

SHIM_EXPORT int
munmap(void *mem, size_t len)
{
	int (*f)(void *, size_t);

	*(void **)&f = shim_next("munmap");
	/* The link unmaps it. */
	if (shim_fd != -1 && mem == shim_link.el_mem)
		return (0);
	return (f(mem, len));
}

SHIM_EXPORT int
close(int fd)
{
	int (*f)(int);

	*(void **)&f = shim_next("close");
	if (fd >= 0 && fd < SHIM_FDS_MAX) {
		free(shim_path[fd]);
		shim_path[fd] = NULL;
	}
	if (fd != -1 && fd == shim_fd) {
		shim_fd = -1;
		emulink_close(&shim_link);
	}
	return (f(fd));
}
