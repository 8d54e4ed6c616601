/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * GUIDs as Hyper-V puts them on the wire: 16 bytes, of which the first three
 * groups of the text are little-endian numbers and the other two are bytes in
 * their order (PROTOCOL.md section 1).
 */

#ifndef _GUID_H_
#define _GUID_H_

#include <stdbool.h>
#include <stdint.h>

#define GUID_LEN  16
#define GUID_TEXT 37 /* with the closing NUL */

/*
 * Reads 8-4-4-4-12 hex digits of either case, in braces or without; false if
 * text is anything else.
 */
bool guid_parse(const char *text, uint8_t guid[GUID_LEN]);

/* Lower case, without braces, as sysfs has it. */
void guid_print(const uint8_t guid[GUID_LEN], char text[GUID_TEXT]);

#endif /* _GUID_H_ */
