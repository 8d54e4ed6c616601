/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * Reads hv_vss.conf(5), and puts together what file and command line say.
 *
 * A line of the file is what follows --set on the command line, so that there
 * is one way to write a setting, and what a refusal proposes works in both
 * places.  Nothing nests, and so there is nothing here but lines.
 */

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf.h"

#define CONF_LINE_MAX 4096

static bool
conf_is_blank(char c)
{
	return (c == ' ' || c == '\t' || c == '\r' || c == '\n');
}

/* Without blanks at both ends. */
static char *
conf_trim(char *s)
{
	size_t len;

	while (conf_is_blank(*s))
		s++;
	for (len = strlen(s); len > 0 && conf_is_blank(s[len - 1]);)
		s[--len] = '\0';
	return (s);
}

/* Cuts off a comment; a '#' within a word is none. */
static void
conf_uncomment(char *line)
{
	for (char *p = line; *p != '\0'; p++)
		if (*p == '#' && (p == line || conf_is_blank(p[-1]))) {
			*p = '\0';
			return;
		}
}

/*
 * One line becomes KEY=VALUE, without the blanks around '='.  That is the last
 * one in a rule for mounts, whose names may have others.
 */
static int
conf_line(struct conf *cf, char *line, char *err, size_t errlen)
{
	char arg[CONF_LINE_MAX + 1], *equals;

	conf_uncomment(line);
	line = conf_trim(line);
	if (*line == '\0')
		return (0);
	equals = strncmp(line, "mount.", 6) == 0 ? strrchr(line, '=') :
						   strchr(line, '=');
	if (equals == NULL)
		return (conf_set(cf, line, err, errlen));
	*equals = '\0';
	(void)snprintf(
	    arg, sizeof(arg), "%s=%s", conf_trim(line), conf_trim(equals + 1));
	return (conf_set(cf, arg, err, errlen));
}

static int
conf_lines(struct conf *cf, FILE *fp, char *err, size_t errlen)
{
	char line[CONF_LINE_MAX], why[CONF_ERR_MAX];
	int error = 0;

	while (error == 0 && fgets(line, sizeof(line), fp) != NULL) {
		cf->cf_line++;
		if (strlen(line) == sizeof(line) - 1) {
			error = EINVAL;
			(void)snprintf(
			    why, sizeof(why), "the line is too long");
		} else
			error = conf_line(cf, line, why, sizeof(why));
		if (error != 0)
			(void)snprintf(err, errlen, "%s:%u: %s", cf->cf_file,
			    cf->cf_line, why);
	}
	if (error == 0 && ferror(fp)) {
		error = EIO;
		(void)snprintf(err, errlen, "%s: cannot be read", cf->cf_file);
	}
	cf->cf_line = 0;
	return (error);
}

/* Whoever writes the file decides what is backed up: that must be root. */
static const char *
conf_distrust(int fd)
{
	struct stat st;

	if (fstat(fd, &st) == -1)
		return (strerror(errno));
	if (!S_ISREG(st.st_mode))
		return ("not a regular file");
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return ("it is neither root's nor your own; chown it");
	if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		return ("others may write it; chmod go-w it");
	return (NULL);
}

int
conf_read(
    struct conf *cf, const char *path, bool may_miss, char *err, size_t errlen)
{
	const char *why;
	FILE *fp = NULL;
	int error, fd;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd == -1 && errno == ENOENT && may_miss)
		return (0);
	if (fd == -1) {
		error = errno;
		(void)snprintf(err, errlen, "%s: %s", path, strerror(error));
		return (error);
	}
	why = conf_distrust(fd);
	if (why == NULL && (fp = fdopen(fd, "r")) == NULL)
		why = strerror(errno);
	if (why != NULL) {
		(void)snprintf(err, errlen, "%s: %s", path, why);
		(void)close(fd);
		return (EPERM);
	}
	cf->cf_file = path;
	error = conf_lines(cf, fp, err, errlen);
	(void)fclose(fp);
	return (error);
}

int
conf_args_file(struct conf_args *ca, const char *path, char *err, size_t errlen)
{
	static char absolute[PATH_MAX];

	if (realpath(path, absolute) == NULL) {
		(void)snprintf(err, errlen, "%s: %s", path, strerror(errno));
		return (errno);
	}
	ca->ca_file = absolute;
	return (0);
}

int
conf_args_set(struct conf_args *ca, const char *arg, char *err, size_t errlen)
{
	if (ca->ca_nsets == CONF_ARGS_MAX) {
		(void)snprintf(err, errlen,
		    "%s: more than %d settings; put them in a file, -c FILE",
		    arg, CONF_ARGS_MAX);
		return (E2BIG);
	}
	ca->ca_sets[ca->ca_nsets++] = arg;
	return (0);
}

int
conf_load(struct conf *cf, const struct conf_args *ca, char *err, size_t errlen)
{
	const char *path = ca->ca_file == NULL ? CONF_FILE : ca->ca_file;
	int error;

	conf_default(cf);
	error = conf_read(cf, path, ca->ca_file == NULL, err, errlen);
	for (unsigned i = 0; i < ca->ca_nsets && error == 0; i++)
		error = conf_set(cf, ca->ca_sets[i], err, errlen);
	if (error == 0)
		error = conf_check(cf, err, errlen);
	if (error != 0)
		conf_free(cf);
	return (error);
}
