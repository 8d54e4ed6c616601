/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* GUIDs between text and wire (guid.h). */

#include "guid.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* Which byte of the wire each pair of digits is. */
static const uint8_t guid_order[GUID_LEN] = { 3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10,
	11, 12, 13, 14, 15 };

/* Before these pairs there is a dash. */
static bool
guid_dash(unsigned int pair)
{
	return (pair == 4 || pair == 6 || pair == 8 || pair == 10);
}

bool
guid_parse(const char *text, uint8_t guid[GUID_LEN])
{
	uint8_t bytes[GUID_LEN];
	bool braces = *text == '{';
	unsigned int i, byte;

	text += braces;
	for (i = 0; i < GUID_LEN; i++) {
		if (guid_dash(i) && *text++ != '-')
			return (false);
		if (!isxdigit((unsigned char)text[0]) ||
		    !isxdigit((unsigned char)text[1]) ||
		    sscanf(text, "%2x", &byte) != 1)
			return (false);
		bytes[guid_order[i]] = (uint8_t)byte;
		text += 2;
	}
	if (strcmp(text, braces ? "}" : "") != 0)
		return (false);
	memcpy(guid, bytes, GUID_LEN);
	return (true);
}

void
guid_print(const uint8_t guid[GUID_LEN], char text[GUID_TEXT])
{
	unsigned int i;

	for (i = 0; i < GUID_LEN; i++) {
		if (guid_dash(i))
			*text++ = '-';
		(void)snprintf(text, 3, "%02x", guid[guid_order[i]]);
		text += 2;
	}
}
