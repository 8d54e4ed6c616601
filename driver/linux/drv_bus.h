/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The VSS device on the VMBus, as sysfs shows it, and which kernel driver has
 * it (PROTOCOL.md section 7.2).
 */

#ifndef _DRV_BUS_H_
#define _DRV_BUS_H_

#include <stdbool.h>
#include <stddef.h>

#include "guid.h"

#define BUS_DEVICES	 "/sys/bus/vmbus/devices"
#define BUS_UIO_DRIVER	 "uio_hv_generic"
#define BUS_UTILS_DRIVER "hv_utils" /* the kernel's own */

struct bus_dev {
	char bd_guid[GUID_TEXT]; /* of the device: its directory's name */
	char bd_driver[64];	 /* that is bound to it, or "" */
	char bd_uio[32];	 /* "uio0", or "" */
};

/*
 * Looks for the device of the VSS class, that of this GUID if wanted is not
 * empty.  Returns 0 or an errno, with why in words: ENOSYS there is no VMBus,
 * ENOENT no such device is offered now, ENOTUNIQ there are several.
 */
int bus_find(struct bus_dev *bd, const char *wanted, char *why, size_t len);

/*
 * Binds the device to uio_hv_generic, away from whatever has it, and looks at
 * it again.  Returns 0 or an errno with why.
 */
int bus_bind(struct bus_dev *bd, char *why, size_t len);

/* The commands that do the same, on one line. */
void bus_commands(const struct bus_dev *bd, char *text, size_t len);

/*
 * Binds it to that driver again, or to none; 0 or an errno.  As long as it is
 * in use the kernel waits.
 */
int bus_give_back(const struct bus_dev *bd, const char *driver);

#endif /* _DRV_BUS_H_ */
