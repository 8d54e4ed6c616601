/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * hv_vssctl thaw: the emergency.  Thawing is hv_vss_daemon's work, by its
 * record or of everything; this finds the right program of that name and runs
 * it.
 */

#include <sys/wait.h>

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl.h"
#include "ctl_view.h"
#include "os.h"

#define THAW_ARGS_MAX (2 * CONF_ARGS_MAX + 8)

/*
 * Where it may be, from the directory of this program.  The kernel tools have a
 * program of the same name: a directory of our own comes first.
 */
static const char *const thaw_places[] = { "../libexec/hv_vss/hv_vss_daemon",
	"hv_vss_daemon" };

static bool
thaw_program(char *path, size_t len)
{
	char self[PATH_MAX], *slash;

	if (!os_self(self, sizeof(self)) ||
	    (slash = strrchr(self, '/')) == NULL)
		return (false);
	slash[1] = '\0';
	for (size_t i = 0; i < VSS_NELEM(thaw_places); i++)
		if (snprintf(path, len, "%s%s", self, thaw_places[i]) <
			(int)len &&
		    access(path, X_OK) == 0)
			return (true);
	return (false);
}

/* Its exit status; -1 and errno if it could not be run. */
static int
thaw_run(char *const argv[])
{
	int status = 0;
	pid_t pid;

	(void)fflush(NULL);
	pid = fork();
	if (pid == 0) {
		(void)execv(argv[0], argv);
		_exit(126);
	}
	if (pid == -1)
		return (-1);
	while (waitpid(pid, &status, 0) == -1)
		if (errno != EINTR)
			return (-1);
	return (WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

static int
thaw_all(struct ctl_view *vw, bool force)
{
	static char set[] = "--set", conf[] = "-c", all[] = "--thaw-all",
		    forced[] = "--force";
	char path[PATH_MAX], *argv[THAW_ARGS_MAX];
	const struct conf_args *ca = &vw->vw_args;
	int n = 0, status;

	if (!thaw_program(path, sizeof(path))) {
		(void)snprintf(vw->vw_err, sizeof(vw->vw_err),
		    "hv_vss_daemon is not where it was installed; thaw by hand "
		    "with fsfreeze -u MOUNTPOINT");
		return (ctl_view_fail(vw));
	}
	argv[n++] = path;
	argv[n++] = all;
	if (force)
		argv[n++] = forced;
	if (ca->ca_file != NULL) {
		argv[n++] = conf;
		argv[n++] = strdup(ca->ca_file);
	}
	for (unsigned i = 0; i < ca->ca_nsets; i++) {
		argv[n++] = set;
		argv[n++] = strdup(ca->ca_sets[i]);
	}
	argv[n] = NULL;
	status = thaw_run(argv);
	for (int i = 1; i < n; i++)
		if (argv[i - 1] == conf || argv[i - 1] == set)
			free(argv[i]);
	if (vw->vw_json)
		printf("{\"thawed\":%s}\n", status == 0 ? "true" : "false");
	if (status != 0 && status != 1) {
		(void)snprintf(vw->vw_err, sizeof(vw->vw_err),
		    "%.300s: could not be run, or was killed; thaw by hand "
		    "with fsfreeze -u MOUNTPOINT",
		    path);
		return (ctl_view_fail(vw));
	}
	return (status);
}

int
ctl_thaw_main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "force", no_argument, NULL, 'f' }, CTL_VIEW_LONGS
	};
	static struct ctl_view vw;
	bool force = false, ok = true;
	int c;

	while (ok && (c = getopt_long(argc, argv, "c:", options, NULL)) != -1)
		if (c == 'f')
			force = true;
		else
			ok = ctl_view_option(&vw, c, optarg);
	if (!ok || optind < argc)
		return (
		    ctl_view_misused(&vw, "thaw", ok ? argv[optind] : NULL));
	if (geteuid() != 0) {
		(void)snprintf(vw.vw_err, sizeof(vw.vw_err),
		    "thaw: only root can thaw; run it as root");
		return (ctl_view_fail(&vw));
	}
	return (thaw_all(&vw, force));
}
