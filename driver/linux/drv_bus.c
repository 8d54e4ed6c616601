/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* Finds, binds and unbinds the VSS device of the VMBus in sysfs (drv_bus.h). */

#include "drv_bus.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "sysfs.h"

#define BUS_DRIVERS "/sys/bus/vmbus/drivers"
#define BUS_CLASS   "35fa2e29-ea23-4236-96ae-3a6ebacba440"

/* The directory of a device or driver; names are short enough. */
static void
bus_path(char path[PATH_MAX], const char *base, const char *name)
{
	(void)snprintf(path, PATH_MAX, "%s/%s", base, name);
}

/* The driver that a device is bound to; "" if to none. */
static void
bus_driver(const char *dir, char *driver, size_t len)
{
	char link[PATH_MAX], to[PATH_MAX];
	const char *name;
	ssize_t n;

	driver[0] = '\0';
	if (snprintf(link, sizeof(link), "%s/driver", dir) >= PATH_MAX)
		return;
	n = readlink(link, to, sizeof(to) - 1);
	if (n <= 0)
		return;
	to[n] = '\0';
	name = strrchr(to, '/');
	(void)snprintf(driver, len, "%.63s", name == NULL ? to : name + 1);
}

/* The UIO device that a device has; "" if none. */
static void
bus_uio(const char *dir, char *uio, size_t len)
{
	char path[PATH_MAX];
	struct dirent *de;
	DIR *d;

	uio[0] = '\0';
	if (snprintf(path, sizeof(path), "%s/uio", dir) >= PATH_MAX)
		return;
	d = opendir(path);
	if (d == NULL)
		return;
	while (uio[0] == '\0' && (de = readdir(d)) != NULL)
		if (strncmp(de->d_name, "uio", 3) == 0 &&
		    strlen(de->d_name) < len)
			(void)snprintf(uio, len, "%.31s", de->d_name);
	(void)closedir(d);
}

static void
bus_look(struct bus_dev *bd)
{
	char dir[PATH_MAX];

	bus_path(dir, BUS_DEVICES, bd->bd_guid);
	bus_driver(dir, bd->bd_driver, sizeof(bd->bd_driver));
	bus_uio(dir, bd->bd_uio, sizeof(bd->bd_uio));
}

/* Whether a directory is that of a device of the VSS class. */
static bool
bus_is_vss(const char *name, const uint8_t class[GUID_LEN])
{
	uint8_t guid[GUID_LEN];
	char dir[PATH_MAX], line[64];

	bus_path(dir, BUS_DEVICES, name);
	return (sysfs_line(dir, "class_id", line, sizeof(line)) &&
	    guid_parse(line, guid) && memcmp(guid, class, GUID_LEN) == 0);
}

/* How many devices fit; the last is in bd. */
static unsigned int
bus_search(struct bus_dev *bd, DIR *d, const uint8_t *wanted)
{
	uint8_t class[GUID_LEN], guid[GUID_LEN];
	unsigned int found = 0;
	struct dirent *de;

	(void)guid_parse(BUS_CLASS, class);
	while ((de = readdir(d)) != NULL) {
		if (!guid_parse(de->d_name, guid) ||
		    (wanted != NULL && memcmp(guid, wanted, GUID_LEN) != 0) ||
		    !bus_is_vss(de->d_name, class))
			continue;
		(void)snprintf(
		    bd->bd_guid, sizeof(bd->bd_guid), "%.36s", de->d_name);
		found++;
	}
	return (found);
}

int
bus_find(struct bus_dev *bd, const char *wanted, char *why, size_t len)
{
	uint8_t guid[GUID_LEN];
	unsigned int found;
	DIR *d = opendir(BUS_DEVICES);

	memset(bd, 0, sizeof(*bd));
	if (d == NULL) {
		(void)snprintf(why, len,
		    BUS_DEVICES
		    ": %s; this is no guest of Hyper-V, or its kernel knows "
		    "no VMBus",
		    strerror(errno));
		return (ENOSYS);
	}
	found = bus_search(
	    bd, d, *wanted != '\0' && guid_parse(wanted, guid) ? guid : NULL);
	(void)closedir(d);
	if (found == 1) {
		bus_look(bd);
		return (0);
	}
	(void)snprintf(why, len, "%s",
	    found == 0 ? "no VSS channel is offered; is the machine's "
			 "integration service for backup switched on?" :
			 "there are several VSS channels; name one with "
			 "--transport uio:UUID");
	return (found == 0 ? ENOENT : ENOTUNIQ);
}

void
bus_commands(const struct bus_dev *bd, char *text, size_t len)
{
	(void)snprintf(text, len,
	    "modprobe " BUS_UIO_DRIVER "; cd " BUS_DEVICES
	    "/%s && echo " BUS_UIO_DRIVER
	    " >driver_override && %secho %s >" BUS_DRIVERS "/" BUS_UIO_DRIVER
	    "/bind",
	    bd->bd_guid,
	    bd->bd_driver[0] == '\0' ? "" : "basename $PWD >driver/unbind && ",
	    bd->bd_guid);
}

/* A device that the driver is told to take; 0 or an errno. */
static int
bus_override(const char *dir)
{
	int error = sysfs_write(dir, "driver_override", BUS_UIO_DRIVER);

	if (error != ENOENT)
		return (error);
	/* An old kernel: the driver takes devices of that class. */
	error = sysfs_write(
	    BUS_DRIVERS "/" BUS_UIO_DRIVER, "new_id", BUS_CLASS);
	return (error == EEXIST ? 0 : error);
}

int
bus_bind(struct bus_dev *bd, char *why, size_t len)
{
	char dir[PATH_MAX];
	const char *step = "driver_override";
	int error;

	bus_path(dir, BUS_DEVICES, bd->bd_guid);
	if (access(BUS_DRIVERS "/" BUS_UIO_DRIVER, F_OK) != 0) {
		(void)snprintf(why, len,
		    "the kernel module " BUS_UIO_DRIVER
		    " is not there; modprobe " BUS_UIO_DRIVER);
		return (ENODEV);
	}
	error = bus_override(dir);
	if (error == 0 && bd->bd_driver[0] != '\0') {
		step = "driver/unbind";
		error = sysfs_write(dir, step, bd->bd_guid);
	}
	if (error == 0) {
		step = "bind";
		error = sysfs_write(
		    BUS_DRIVERS "/" BUS_UIO_DRIVER, step, bd->bd_guid);
	}
	bus_look(bd);
	/* With a new id it may have been taken before we said so. */
	if (strcmp(bd->bd_driver, BUS_UIO_DRIVER) == 0)
		return (0);
	if (error == 0)
		error = ENODEV;
	(void)snprintf(why, len,
	    "%s: cannot be bound to " BUS_UIO_DRIVER " (%s: %s)", bd->bd_guid,
	    step, strerror(error));
	return (error);
}

int
bus_give_back(const struct bus_dev *bd, const char *driver)
{
	char dir[PATH_MAX];
	int error;

	bus_path(dir, BUS_DEVICES, bd->bd_guid);
	/* An empty line takes the word back. */
	error = sysfs_write(dir, "driver_override", "\n");
	if (error != 0 && error != ENOENT)
		return (error);
	error = sysfs_write(dir, "driver/unbind", bd->bd_guid);
	if (error != 0 || *driver == '\0')
		return (error);
	bus_path(dir, BUS_DRIVERS, driver);
	error = sysfs_write(dir, "bind", bd->bd_guid);
	/* The kernel may have looked for a driver by itself. */
	return (error == EBUSY || error == ENODEV ? 0 : error);
}
