/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * Mount table and topology: the input is a machine in the form of
 * tests/unit/data/plan (mount, file, link, dir, fifo, set; other lines are left
 * out), which exists in memory alone.  Whatever it is, the plan is sound
 * (fuzz_plan.h).
 */

#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libmount/libmount.h>
#include <malloc.h>
#include <unistd.h>

#include "fuzz.h"

static FILE *fuzz_fopen(const char *path, const char *mode);
static DIR *fuzz_opendir(const char *path);
static struct dirent *fuzz_readdir(DIR *d);
static int fuzz_closedir(DIR *d);
static int fuzz_access(const char *path, int mode);
static ssize_t fuzz_readlink(const char *path, char *buf, size_t len);
static int fuzz_statx(
    int at, const char *path, int flags, unsigned int mask, struct statx *sx);

#define fopen				 fuzz_fopen
#define opendir				 fuzz_opendir
#define readdir				 fuzz_readdir
#define closedir			 fuzz_closedir
#define access				 fuzz_access
#define readlink			 fuzz_readlink
#define statx(at, path, flags, mask, sx) fuzz_statx(at, path, flags, mask, sx)
#define malloc_trim(pad)		 ((void)(pad), 0)

/* Names that more than one of them has. */
#define or_empty linux_or_empty
#include "fs_linux.c"
#undef PATH_LEN
#define join block_join
#include "sysfs.c"

#include "fs_linux_block.c"
#undef PATH_LEN
#include "fs_linux_ns.c"
#undef PATH_LEN
#undef statx
#undef fopen
#include "plan.c"

#define NODES_MAX  256
#define MOUNTS_MAX 96
/* Each file may be another namespace's mount table, of one line. */
#define LINES_MAX (MOUNTS_MAX + NODES_MAX)
#define HOPS_MAX  16

#include "fuzz_plan.h"

enum kind { DIRECTORY, REGULAR, SYMLINK, FIFO };

/* A file of the machine; what lies between is a directory. */
struct node {
	enum kind no_kind;
	const char *no_path; /* without leading slash */
	const char *no_text; /* content, or where it leads */
};

/* An open directory: what was handed out last. */
struct fuzz_dir {
	char di_path[PATH_MAX];
	unsigned int di_next;
	struct dirent di_entry;
};

static struct {
	char *ma_text;
	char *ma_mountinfo;
	struct node ma_nodes[NODES_MAX];
	unsigned int ma_nnodes;
	struct conf ma_conf;
	struct plan_policy ma_policy;
	int ma_open; /* files and directories that are not closed again */
} ma;

/* Whether path is an ancestor directory of a node. */
static bool
is_above(const char *path, const struct node *no)
{
	size_t len = strlen(path);

	return (len == 0 ||
	    (strncmp(no->no_path, path, len) == 0 && no->no_path[len] == '/'));
}

static const struct node *
find_node(const char *path)
{
	static const struct node directory = { DIRECTORY, "", "" };
	unsigned int i;

	for (i = 0; i < ma.ma_nnodes; i++)
		if (strcmp(ma.ma_nodes[i].no_path, path) == 0)
			return (&ma.ma_nodes[i]);
	for (i = 0; i < ma.ma_nnodes; i++)
		if (is_above(path, &ma.ma_nodes[i]))
			return (&directory);
	return (NULL);
}

/*
 * Looks a path up as the kernel does, symbolic links included; the place it
 * leads to goes into real.  NULL: there is nothing.
 */
static const struct node *
look_up(const char *path, char *real, bool follow)
{
	const struct node *no = find_node("");
	char rest[2 * PATH_MAX], next[3 * PATH_MAX], *part;
	unsigned int hops = 0;
	size_t len;

	(void)snprintf(rest, sizeof(rest), "%s", path);
	real[0] = '\0';
	while (rest[0] != '\0') {
		part = rest + strspn(rest, "/");
		len = strcspn(part, "/");
		if (len == 0)
			break;
		if (no == NULL || no->no_kind != DIRECTORY)
			return (NULL);
		if (len == 2 && memcmp(part, "..", 2) == 0) {
			if (strrchr(real, '/') != NULL)
				*strrchr(real, '/') = '\0';
			else
				real[0] = '\0';
		} else if (len != 1 || part[0] != '.') {
			size_t at = strlen(real);

			if (at + len + 2 > PATH_MAX)
				return (NULL);
			(void)snprintf(real + at, PATH_MAX - at, "%s%.*s",
			    at == 0 ? "" : "/", (int)len, part);
		}
		memmove(rest, part + len, strlen(part + len) + 1);
		no = find_node(real);
		if (no == NULL || no->no_kind != SYMLINK ||
		    (!follow && rest[0] == '\0'))
			continue;
		if (++hops > HOPS_MAX)
			return (NULL);
		(void)snprintf(
		    next, sizeof(next), "%.4000s%s", no->no_text, rest);
		(void)snprintf(rest, sizeof(rest), "%.8000s", next);
		if (no->no_text[0] == '/' || strrchr(real, '/') == NULL)
			real[0] = '\0';
		else
			*strrchr(real, '/') = '\0';
		no = find_node(real);
	}
	return (no);
}

static FILE *
fuzz_fopen(const char *path, const char *mode)
{
	char real[PATH_MAX];
	const struct node *no = look_up(path, real, true);
	const char *text = "";
	FILE *f;

	FUZZ_CHECK(strcmp(mode, "re") == 0);
	if (strcmp(path, "/proc/self/mountinfo") == 0)
		text = ma.ma_mountinfo;
	else if (no != NULL && no->no_kind == REGULAR)
		text = no->no_text;
	errno = ENOENT;
	if (text[0] == '\0')
		return (NULL);
	f = fmemopen((void *)(uintptr_t)text, strlen(text), "r");
	FUZZ_CHECK(f != NULL);
	return (f);
}

static DIR *
fuzz_opendir(const char *path)
{
	struct fuzz_dir *di = fuzz_exact(sizeof(*di));
	const struct node *no = look_up(path, di->di_path, true);

	if (no == NULL || no->no_kind != DIRECTORY) {
		free(di);
		errno = ENOENT;
		return (NULL);
	}
	ma.ma_open++;
	return ((DIR *)(void *)di);
}

/* Names may come twice, as they may while a directory changes. */
static struct dirent *
fuzz_readdir(DIR *d)
{
	struct fuzz_dir *di = (void *)d;
	const struct node *no;
	const char *name;
	size_t above = strlen(di->di_path), len;

	while (di->di_next < ma.ma_nnodes) {
		no = &ma.ma_nodes[di->di_next++];
		if (!is_above(di->di_path, no))
			continue;
		name = no->no_path + above + (above == 0 ? 0 : 1);
		len = strcspn(name, "/");
		if (len == 0 || len > NAME_MAX)
			continue;
		(void)snprintf(di->di_entry.d_name, sizeof(di->di_entry.d_name),
		    "%.*s", (int)len, name);
		return (&di->di_entry);
	}
	return (NULL);
}

static int
fuzz_closedir(DIR *d)
{
	free(d);
	ma.ma_open--;
	return (0);
}

static int
fuzz_access(const char *path, int mode)
{
	char real[PATH_MAX];

	FUZZ_CHECK(mode == F_OK);
	errno = ENOENT;
	return (look_up(path, real, true) == NULL ? -1 : 0);
}

static ssize_t
fuzz_readlink(const char *path, char *buf, size_t len)
{
	char real[PATH_MAX];
	const struct node *no = look_up(path, real, false);
	size_t n;

	errno = ENOENT;
	if (no == NULL || no->no_kind != SYMLINK)
		return (-1);
	n = strlen(no->no_text) < len ? strlen(no->no_text) : len;
	memcpy(buf, no->no_text, n);
	return ((ssize_t)n);
}

static int
fuzz_statx(
    int at, const char *path, int flags, unsigned int mask, struct statx *sx)
{
	static const uint16_t modes[] = { S_IFDIR, S_IFREG, S_IFLNK, S_IFIFO };
	char real[PATH_MAX];
	const struct node *no = look_up(path, real, false);

	FUZZ_CHECK(at == AT_FDCWD && mask == STATX_TYPE &&
	    (flags & AT_SYMLINK_NOFOLLOW) != 0);
	if (no == NULL) {
		errno = ENOENT;
		return (-1);
	}
	memset(sx, 0, sizeof(*sx));
	sx->stx_mode = modes[no->no_kind];
	return (0);
}

static void
add_node(enum kind kind, char *path)
{
	struct node *no;
	char *text = path + strcspn(path, " ");

	if (ma.ma_nnodes == NODES_MAX || path[0] == '\0')
		return;
	if (*text != '\0')
		*text++ = '\0';
	no = &ma.ma_nodes[ma.ma_nnodes++];
	no->no_kind = kind;
	no->no_path = path + strspn(path, "/");
	no->no_text = text;
}

static void
add_line_of(char *line, unsigned int *mounts)
{
	char err[CONF_ERR_MAX];

	if (strncmp(line, "mount ", 6) == 0 && (*mounts)++ < MOUNTS_MAX) {
		strcat(ma.ma_mountinfo, line + 6);
		strcat(ma.ma_mountinfo, "\n");
	} else if (strncmp(line, "file ", 5) == 0)
		add_node(REGULAR, line + 5);
	else if (strncmp(line, "link ", 5) == 0)
		add_node(SYMLINK, line + 5);
	else if (strncmp(line, "dir ", 4) == 0)
		add_node(DIRECTORY, line + 4);
	else if (strncmp(line, "fifo ", 5) == 0)
		add_node(FIFO, line + 5);
	else if (strncmp(line, "set ", 4) == 0)
		(void)conf_set(&ma.ma_conf, line + 4, err, sizeof(err));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char err[256], *line, *save;
	unsigned int mounts = 0;
	struct plan pn;

	memset(&ma, 0, sizeof(ma));
	ma.ma_text = fuzz_exact(size + 1);
	ma.ma_mountinfo = fuzz_exact(size + 2);
	conf_default(&ma.ma_conf);
	memcpy(ma.ma_text, data, size);
	for (line = strtok_r(ma.ma_text, "\n", &save); line != NULL;
	     line = strtok_r(NULL, "\n", &save))
		add_line_of(line, &mounts);
	err[0] = '\0';
	plan_policy_set(&ma.ma_policy, &ma.ma_conf);
	if (plan_make(&pn, &ma.ma_policy, err, sizeof(err)) == 0)
		fuzz_check_plan(&pn);
	else
		fuzz_check_text(err);
	plan_free(&pn);
	plan_free(&pn);
	FUZZ_CHECK(ma.ma_open == 0);
	conf_free(&ma.ma_conf);
	free(ma.ma_mountinfo);
	free(ma.ma_text);
	return (0);
}
