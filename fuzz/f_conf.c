/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * Settings: each line of the input is one, then all are looked at together.
 * Whatever is taken, the engine starts with; what is refused changes nothing
 * and says why.
 */

#include <sys/mman.h>

#include <unistd.h>

#include "conf.h"
#include "fuzz.h"

#define LINES_MAX 80
#define ERR_LEN	  64 /* shorter than it wants: it must do with it */

static char *lines[LINES_MAX];

static void
check_refused(const char *err)
{
	FUZZ_CHECK(memchr(err, '\0', ERR_LEN) != NULL && err[0] != '\0');
}

static void
check_taken(struct conf *cf)
{
	static struct vss_engine_client clients[VSS_ENGINE_MAX_CLIENTS + 1];
	static struct vss_trace_event events[4];
	static struct vss_engine engine;
	struct vss_engine_conf ec;
	struct vss_trace trace;
	uint32_t i;

	for (i = 0; i < CONF_NLIMITS; i++)
		FUZZ_CHECK(
		    cf->cf_limit_ms[i] >= 500 && cf->cf_limit_ms[i] <= 900000);
	FUZZ_CHECK(((cf->cf_fs.cn_mode | cf->cf_app.cn_mode) & ~0666U) == 0);
	FUZZ_CHECK(cf->cf_nexclude <= CONF_EXCLUDE_MAX);
	FUZZ_CHECK(cf->cf_nhooks <= CONF_HOOKS_MAX);
	FUZZ_CHECK(conf_hook_ms(cf, "10-db") >= 1000 &&
	    conf_hook_ms(cf, "10-db") <= 900000);
	FUZZ_CHECK(cf->cf_run_dir[0] == '/');
	FUZZ_CHECK(cf->cf_trace == NULL || cf->cf_trace[0] == '/');
	conf_engine(cf, &ec);
	vss_trace_init(&trace, events, VSS_NELEM(events));
	FUZZ_CHECK(vss_engine_init(&engine, &ec, clients, &trace) == 0);
}

/* The same as a settings file. */
static void
load_file(const uint8_t *data, size_t size)
{
	char err[CONF_ERR_MAX] = "", path[64];
	struct conf_args ca = { 0 };
	struct conf cf;
	int fd;

	fd = memfd_create("conf", MFD_CLOEXEC);
	FUZZ_CHECK(fd != -1 && write(fd, data, size) == (ssize_t)size);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ca.ca_file = path;
	if (conf_load(&cf, &ca, err, sizeof(err)) == 0) {
		check_taken(&cf);
		conf_free(&cf);
	} else
		FUZZ_CHECK(err[0] != '\0' && strchr(err, '\n') == NULL);
	(void)close(fd);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct conf cf, before;
	char err[ERR_LEN], *text, *save, *line;
	size_t n = 0;

	text = fuzz_exact(size + 1);
	memcpy(text, data, size);
	conf_default(&cf);
	for (line = strtok_r(text, "\n", &save); line != NULL && n < LINES_MAX;
	     line = strtok_r(NULL, "\n", &save)) {
		/* Of its own, so that what is read beyond its end is found. */
		lines[n] = fuzz_exact(strlen(line) + 1);
		memcpy(lines[n], line, strlen(line));
		before = cf;
		memset(err, 0, sizeof(err));
		if (conf_set(&cf, lines[n++], err, sizeof(err)) != 0) {
			check_refused(err);
			FUZZ_CHECK(memcmp(&before, &cf, sizeof(cf)) == 0);
		}
	}
	memset(err, 0, sizeof(err));
	if (conf_check(&cf, err, sizeof(err)) == 0)
		check_taken(&cf);
	else
		check_refused(err);
	conf_free(&cf);
	while (n > 0)
		free(lines[--n]);
	load_file(data, size);
	free(text);
	return (0);
}
