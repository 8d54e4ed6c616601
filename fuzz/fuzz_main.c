/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The harness as a program for any compiler: tries the files that are named, or
 * without arguments those of its corpus, fuzz/corpus/NAME below the working
 * directory for a program fuzz_NAME.t.  Prints TAP; the file that is being
 * tried is named before it is, so that a crash has a name.
 */

#include <dirent.h>
#include <errno.h>

#include "fuzz.h"

#define INPUT_MAX (1024 * 1024)
#define PATH_LEN  1024

static uint8_t input[INPUT_MAX];

static void
try_file(const char *path)
{
	uint8_t *copy;
	size_t len;
	FILE *f;

	f = fopen(path, "re");
	if (f == NULL) {
		printf("not ok 1 - %s: %s\n1..1\n", path, strerror(errno));
		exit(1);
	}
	len = fread(input, 1, sizeof(input), f);
	(void)fclose(f);
	printf("# %s\n", path);
	fflush(stdout);
	copy = fuzz_exact(len);
	memcpy(copy, input, len);
	(void)LLVMFuzzerTestOneInput(copy, len);
	free(copy);
}

static unsigned int
try_corpus(const char *dir)
{
	char path[2 * PATH_LEN];
	struct dirent **list;
	unsigned int tried = 0;
	int i, n;

	n = scandir(dir, &list, NULL, alphasort);
	for (i = 0; i < n; i++) {
		if (list[i]->d_name[0] != '.') {
			(void)snprintf(
			    path, sizeof(path), "%s/%s", dir, list[i]->d_name);
			try_file(path);
			tried++;
		}
		free(list[i]);
	}
	if (n >= 0)
		free(list);
	return (tried);
}

int
main(int argc, char **argv)
{
	char dir[PATH_LEN];
	const char *name;
	unsigned int tried;
	int i;

	name = strrchr(argv[0], '/');
	name = name == NULL ? argv[0] : name + 1;
	(void)snprintf(dir, sizeof(dir), "%.64s", name);
	if (strncmp(name, "fuzz_", 5) == 0)
		(void)snprintf(dir, sizeof(dir), "fuzz/corpus/%.*s",
		    (int)strcspn(name + 5, "."), name + 5);
	for (i = 1; i < argc; i++)
		try_file(argv[i]);
	tried = argc > 1 ? (unsigned int)argc - 1 : try_corpus(dir);
	printf("%sok 1 - %s: %u inputs do no harm\n1..1\n",
	    tried == 0 ? "not " : "", argc > 1 ? name : dir, tried);
	return (tried == 0);
}
