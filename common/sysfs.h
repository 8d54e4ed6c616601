/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* Attributes of Linux's sysfs: small files of one line. */

#ifndef _SYSFS_H_
#define _SYSFS_H_

#include <stdbool.h>
#include <stddef.h>

/*
 * First line of DIR/NAME without its newline; false if there is none, and errno
 * says why, 0 for an empty file.  What does not fit is cut.
 */
bool sysfs_line(const char *dir, const char *name, char *line, size_t len);

/* Writes an attribute that is there; 0 or an errno. */
int sysfs_write(const char *dir, const char *name, const char *text);

#endif /* _SYSFS_H_ */
