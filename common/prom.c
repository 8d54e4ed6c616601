/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* Writes the figures for Prometheus (prom.h). */

#include "prom.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum prom_gauge {
	PROM_LAST_SUCCESS,
	PROM_LAST,
	PROM_OK,
	PROM_APPLICATION,
	PROM_DURATION,
	PROM_STALL,
	PROM_HOLD,
	PROM_NGAUGES
};

static const struct {
	const char *pg_name;
	const char *pg_help;
} prom_gauges[PROM_NGAUGES] = {
	[PROM_LAST_SUCCESS] = { "hv_vss_last_success_timestamp_seconds",
	    "When the last checkpoint that succeeded began, 0: none did." },
	[PROM_LAST] = { "hv_vss_last_checkpoint_timestamp_seconds",
	    "When the last checkpoint began, 0: there was none." },
	[PROM_OK] = { "hv_vss_last_checkpoint_success",
	    "Whether the last checkpoint succeeded." },
	[PROM_APPLICATION] = { "hv_vss_last_checkpoint_application_consistent",
	    "Whether all applications took part in it with success." },
	[PROM_DURATION] = { "hv_vss_last_checkpoint_duration_seconds",
	    "How long it took, from the host's first request." },
	[PROM_STALL] = { "hv_vss_last_checkpoint_stall_seconds",
	    "Of it, from the first application at rest until all went on." },
	[PROM_HOLD] = { "hv_vss_last_checkpoint_hold_seconds",
	    "Of that, while the host took its snapshot." },
};

#define PROM_OUTCOMES "hv_vss_checkpoints_total"
#define PROM_REASONS  "hv_vss_failures_total"
/* A comment to Prometheus. */
#define PROM_COUNTED "# counted up to"

struct prom {
	double pm_gauges[PROM_NGAUGES];
	double pm_counted; /* no later one is in the counters */
	uint64_t pm_outcomes[CKPT_NOUTCOMES];
	uint64_t pm_reasons[VSS_ENGINE_NCAUSES];
};

/* "NAME{LABEL="VALUE"} NUMBER": the number's text if it is that line. */
static const char *
prom_value(const char *line, const char *name, const char *value)
{
	const char *at;
	size_t len;

	if (strncmp(line, name, strlen(name)) != 0 ||
	    line[strlen(name)] != '{' || (at = strchr(line, '"')) == NULL)
		return (NULL);
	len = strlen(value);
	if (strncmp(at + 1, value, len) != 0 ||
	    strncmp(at + 1 + len, "\"} ", 3) != 0)
		return (NULL);
	return (at + 1 + len + 3);
}

static void
prom_take(struct prom *pm, const char *line)
{
	const char *at;
	char cause[32];
	size_t len;

	len = strlen(PROM_COUNTED);
	if (strncmp(line, PROM_COUNTED, len) == 0)
		pm->pm_counted = strtod(line + len, NULL);
	for (int i = 0; i < PROM_NGAUGES; i++) {
		len = strlen(prom_gauges[i].pg_name);
		if (strncmp(line, prom_gauges[i].pg_name, len) == 0 &&
		    line[len] == ' ')
			pm->pm_gauges[i] = strtod(line + len, NULL);
	}
	for (uint32_t i = 0; i < CKPT_NOUTCOMES; i++) {
		at = prom_value(line, PROM_OUTCOMES,
		    ckpt_outcome_name((enum ckpt_outcome)i));
		if (at != NULL)
			pm->pm_outcomes[i] = strtoull(at, NULL, 10);
	}
	for (uint32_t i = 1; i < VSS_ENGINE_NCAUSES; i++) {
		ckpt_cause_name(i, cause, sizeof(cause));
		at = prom_value(line, PROM_REASONS, cause);
		if (at != NULL)
			pm->pm_reasons[i] = strtoull(at, NULL, 10);
	}
}

/* What cannot be read begins at 0, as a counter may. */
static void
prom_read(struct prom *pm, const char *path)
{
	char line[256];
	FILE *fp = fopen(path, "re");

	memset(pm, 0, sizeof(*pm));
	if (fp == NULL)
		return;
	while (fgets(line, sizeof(line), fp) != NULL)
		prom_take(pm, line);
	(void)fclose(fp);
	/* An older one does not say. */
	if (pm->pm_counted == 0)
		pm->pm_counted = pm->pm_gauges[PROM_LAST];
}

static void
prom_count(struct prom *pm, const struct ckpt *ck)
{
	double *gauges = pm->pm_gauges, began = (double)ck->ck_wall_ms / 1e3;

	pm->pm_outcomes[ck->ck_outcome]++;
	if (began > pm->pm_counted)
		pm->pm_counted = began;
	if (ck->ck_outcome == CKPT_CHECKED)
		return;
	gauges[PROM_LAST] = began;
	gauges[PROM_OK] = ck->ck_outcome == CKPT_OK;
	gauges[PROM_APPLICATION] = strcmp(ckpt_consistency(ck),
				       "application") == 0;
	gauges[PROM_DURATION] = (double)(ck->ck_end_ns - ck->ck_begin_ns) / 1e9;
	gauges[PROM_STALL] = (double)ckpt_stall_ns(ck) / 1e9;
	gauges[PROM_HOLD] = (double)ckpt_hold_ns(ck) / 1e9;
	if (ck->ck_outcome == CKPT_OK)
		gauges[PROM_LAST_SUCCESS] = gauges[PROM_LAST];
	else if (ck->ck_why.er_cause < VSS_ENGINE_NCAUSES)
		pm->pm_reasons[ck->ck_why.er_cause]++;
}

/*
 * A driver tells a daemon that was started anew of the last ones again, which
 * the history knows; but who was killed after writing it has not come here.
 */
static bool
prom_is_new(const struct prom *pm, const struct ckpt *ck)
{
	return (ck->ck_id != 0 ||
	    (double)ck->ck_wall_ms / 1e3 > pm->pm_counted + 1e-3);
}

static void
prom_print(const struct prom *pm, FILE *fp)
{
	char cause[32];

	(void)fprintf(fp, PROM_COUNTED " %.3f\n", pm->pm_counted);
	for (int i = 0; i < PROM_NGAUGES; i++)
		(void)fprintf(fp, "# HELP %s %s\n# TYPE %s gauge\n%s %.3f\n",
		    prom_gauges[i].pg_name, prom_gauges[i].pg_help,
		    prom_gauges[i].pg_name, prom_gauges[i].pg_name,
		    pm->pm_gauges[i]);
	(void)fprintf(fp,
	    "# HELP " PROM_OUTCOMES " Checkpoints by what came of them.\n"
	    "# TYPE " PROM_OUTCOMES " counter\n");
	for (uint32_t i = 0; i < CKPT_NOUTCOMES; i++)
		(void)fprintf(fp, PROM_OUTCOMES "{outcome=\"%s\"} %llu\n",
		    ckpt_outcome_name((enum ckpt_outcome)i),
		    (unsigned long long)pm->pm_outcomes[i]);
	(void)fprintf(fp,
	    "# HELP " PROM_REASONS " Checkpoints that failed, by first cause.\n"
	    "# TYPE " PROM_REASONS " counter\n");
	for (uint32_t i = 1; i < VSS_ENGINE_NCAUSES; i++) {
		ckpt_cause_name(i, cause, sizeof(cause));
		(void)fprintf(fp, PROM_REASONS "{reason=\"%s\"} %llu\n", cause,
		    (unsigned long long)pm->pm_reasons[i]);
	}
}

static int
prom_fail(const char *path, char *err, size_t errlen)
{
	int error = errno;

	(void)snprintf(err, errlen, "%s: cannot write: %s%s", path,
	    strerror(error),
	    error == ENOENT ? "; make the directory, or change the setting "
			      "prometheus" :
			      "");
	return (error);
}

int
prom_update(const char *path, const struct ckpt *cks, size_t n, char *err,
    size_t errlen)
{
	char temp[PATH_MAX];
	struct prom pm;
	FILE *fp = NULL;
	bool ok;
	int fd;

	prom_read(&pm, path);
	for (size_t i = 0; i < n; i++)
		if (!cks[i].ck_test && prom_is_new(&pm, &cks[i]))
			prom_count(&pm, &cks[i]);
	(void)snprintf(temp, sizeof(temp), "%s.tmp", path);
	(void)unlink(temp);
	fd = open(
	    temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd >= 0)
		fp = fdopen(fd, "w");
	if (fp == NULL)
		return (prom_fail(path, err, errlen));
	prom_print(&pm, fp);
	(void)fchmod(fd, 0644);
	ok = fflush(fp) == 0 && ferror(fp) == 0;
	ok = fclose(fp) == 0 && ok;
	if (ok && rename(temp, path) == 0)
		return (0);
	(void)prom_fail(path, err, errlen);
	(void)unlink(temp);
	return (EIO);
}
