/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* Cuts output into lines; ctl_lines.h has the contract. */

#include <string.h>
#include <unistd.h>

#include "ctl_lines.h"

ssize_t
ctl_lines_read(struct ctl_lines *cl, int fd)
{
	ssize_t n;

	n = read(fd, cl->cl_buf, sizeof(cl->cl_buf));
	cl->cl_at = 0;
	cl->cl_end = n > 0 ? (size_t)n : 0;
	return (n);
}

/* The line as it is used, or NULL if there is nothing in it. */
static const char *
finish(struct ctl_lines *cl)
{
	size_t len = cl->cl_len;
	unsigned char c;

	cl->cl_len = 0;
	while (len > 0 && strchr(" \t\r", cl->cl_line[len - 1]) != NULL)
		len--;
	cl->cl_line[len] = '\0';
	for (size_t i = 0; i < len; i++) {
		c = (unsigned char)cl->cl_line[i];
		if (c == '\t')
			cl->cl_line[i] = ' ';
		else if (c < ' ' || c == 0x7f)
			cl->cl_line[i] = '?';
	}
	return (len == 0 ? NULL : cl->cl_line);
}

const char *
ctl_lines_next(struct ctl_lines *cl)
{
	const char *line;
	char c;

	while (cl->cl_at < cl->cl_end) {
		c = cl->cl_buf[cl->cl_at++];
		if (c == '\n') {
			line = finish(cl);
			if (line != NULL)
				return (line);
		} else if (cl->cl_len < sizeof(cl->cl_line) - 1) {
			/* A NUL would hide the rest. */
			cl->cl_line[cl->cl_len++] = c == '\0' ? '?' : c;
		}
	}
	return (NULL);
}

const char *
ctl_lines_rest(struct ctl_lines *cl)
{
	return (finish(cl));
}
