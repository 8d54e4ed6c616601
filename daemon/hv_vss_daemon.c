/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * hv_vss_daemon: freezes and thaws this machine's file systems when the host
 * asks for it through the driver's file-system device.  Options, start, and the
 * one loop; dm.h says what is where.
 */

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "dm.h"
#include "dm_os.h"
#include "fdwait.h"
#include "notify.h"
#include "relay.h"
#include "version.h"

#define DM_DEVICE    VSS_DEV(FS_VSS_DEV_NAME)
#define DM_REOPEN_NS (250 * DM_NS_PER_MS)
#define DM_QUIT_NS   (5 * DM_NS_PER_S)
/* Between two tries to thaw what an earlier run left. */
#define DM_RECOVER_NS (10 * DM_NS_PER_S)
/* For worker and guard to start, on a machine that is busy with its own. */
#define DM_BEGIN_NS (40 * DM_NS_PER_S)

enum dm_mode { DM_SERVE, DM_CHECK, DM_THAW_ALL, DM_THAW_FORCE };

static struct dm dm0 = {
	.dm_policy = &dm0.dm_conf,
	.dm_device = DM_DEVICE,
	.dm_fd = -1,
	.dm_mounts = -1,
	.dm_lock = -1,
	.dm_record = -1,
	.dm_old = { -1, -1 },
	.dm_txn.tx_deadline_ns = DM_NEVER,
};

uint64_t
dm_earlier(uint64_t a, uint64_t b)
{
	return (a < b ? a : b);
}

static void
dm_usage(FILE *fp)
{
	fprintf(fp,
	    "usage: hv_vss_daemon [-dn] [-c CONF] [--set KEY=VALUE]... "
	    "[--device PATH]\n"
	    "       hv_vss_daemon --check [--json] [-c CONF] [--set KEY=VALUE]...\n"
	    "       hv_vss_daemon --thaw-all [--force] [-c CONF] [--set "
	    "KEY=VALUE]...\n"
	    "  -d              say more\n"
	    "  -n              stay in the foreground, messages to standard "
	    "error\n"
	    "  -c CONF         another configuration file than " CONF_FILE "\n"
	    "  --device PATH   the device (" DM_DEVICE ")\n"
	    "  --check         say what a backup would do, and do nothing\n"
	    "  --json          with --check: as JSON\n"
	    "  --thaw-all      thaw what a daemon that died left frozen\n"
	    "  --force         thaw every local file system\n"
	    "  --set KEY=VALUE a setting, wins over the file; the keys, what is allowed and the default:\n");
	conf_help(fp);
}

/*
 * What is frozen is thawed whatever is wrong with the file, then with the
 * settings of the command line alone.
 */
static int
dm_conf_load(struct dm *dm, enum dm_mode mode, char *err, size_t errlen)
{
	struct conf *cf = &dm->dm_conf;
	char wrong[CONF_ERR_MAX];
	unsigned i;
	int error;

	error = conf_load(cf, &dm->dm_args, err, errlen);
	if (error == 0 || mode == DM_SERVE || mode == DM_CHECK)
		return (error);
	(void)snprintf(wrong, sizeof(wrong), "%s", err);
	conf_default(cf);
	error = 0;
	for (i = 0; i < dm->dm_args.ca_nsets && error == 0; i++)
		error = conf_set(cf, dm->dm_args.ca_sets[i], err, errlen);
	if (error == 0)
		report(REPORT_WARNING, "%s; thawing without that file", wrong);
	return (error);
}

static const struct option dm_longs[] = {
	{ "set", required_argument, NULL, 's' },
	{ "device", required_argument, NULL, 'D' },
	{ "check", no_argument, NULL, 'C' },
	{ "json", no_argument, NULL, 'j' },
	{ "thaw-all", no_argument, NULL, 'T' },
	{ "force", no_argument, NULL, 'F' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ NULL, 0, NULL, 0 },
};

/* What is to be done; what is wrong with the options taken together, or NULL.
 */
static const char *
dm_mode_of(enum dm_mode *mode, bool check, bool json, bool thaw, bool force)
{
	if (check && thaw)
		return ("--check and --thaw-all exclude each other");
	if (json && !check)
		return ("--json without --check: not an option");
	if (force && !thaw)
		return ("--force without --thaw-all: not an option");
	*mode = check ? DM_CHECK :
	    force     ? DM_THAW_FORCE :
	    thaw      ? DM_THAW_ALL :
			DM_SERVE;
	return (NULL);
}

static void
dm_options(struct dm *dm, int argc, char *argv[], enum dm_mode *mode)
{
	enum report_level level = REPORT_NOTICE;
	bool check = false, force = false, thaw = false;
	const char *wrong;
	char err[CONF_ERR_MAX];
	int c;

	while ((c = getopt_long(argc, argv, "c:dn", dm_longs, NULL)) != -1)
		switch (c) {
		case 'd':
			level = REPORT_DEBUG;
			break;
		case 'n':
			dm->dm_foreground = true;
			break;
		case 's':
			if (conf_args_set(
				&dm->dm_args, optarg, err, sizeof(err)) != 0)
				goto bad;
			break;
		case 'c':
			if (conf_args_file(
				&dm->dm_args, optarg, err, sizeof(err)) != 0)
				goto bad;
			break;
		case 'D':
			dm->dm_device = optarg;
			break;
		case 'C':
			check = true;
			break;
		case 'j':
			dm->dm_form = CHECK_JSON;
			break;
		case 'T':
			thaw = true;
			break;
		case 'F':
			force = true;
			break;
		case 'h':
			dm_usage(stdout);
			exit(0);
		case 'V':
			printf("hv_vss_daemon %s\n", HV_VSS_VERSION);
			exit(0);
		default:
			fprintf(stderr, "hv_vss_daemon: --help says more\n");
			exit(1);
		}
	report_init("hv_vss_daemon", level);
	wrong = dm_mode_of(mode, check, dm->dm_form == CHECK_JSON, thaw, force);
	if (optind < argc)
		snprintf(err, sizeof(err), "%s: not an option", argv[optind]);
	else if (wrong != NULL)
		snprintf(err, sizeof(err), "%s", wrong);
	if (optind < argc || wrong != NULL)
		goto bad;
	if (dm_conf_load(dm, *mode, err, sizeof(err)) == 0)
		return;
bad:
	report(REPORT_ERROR, "%s", err);
	exit(1);
}

static int
dm_signals(struct dm *dm)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGXFSZ, SIG_IGN);
	dm->dm_signals = dm_os_signals(&set);
	if (dm->dm_signals != -1)
		return (0);
	report(REPORT_ERROR, "no descriptor for signals: %s", strerror(errno));
	return (1);
}

static void
dm_signal(struct dm *dm)
{
	unsigned signo;

	while ((signo = dm_os_signal(dm->dm_signals)) != 0) {
		if (signo == SIGHUP) {
			dm->dm_reload = true;
			continue;
		}
		report(REPORT_NOTICE, "ending by signal %u", signo);
		dm->dm_quit = true;
		dm->dm_reopen_ns = frz_now_ns() + DM_QUIT_NS;
		if (!dm_txn_idle(dm))
			dm_txn_fail(dm, "hv_vss_daemon is being stopped");
		dm_undo_lost(dm);
	}
}

/*
 * Reads the settings again, between transactions.  The limits are the driver's
 * as well, which reads them once: they stay as they were at the start, and so
 * do paths.
 */
static void
dm_reread(struct dm *dm)
{
	struct conf fresh;
	char err[CONF_ERR_MAX];

	if (!dm->dm_reload || !dm_txn_idle(dm))
		return;
	dm->dm_reload = false;
	if (conf_load(&fresh, &dm->dm_args, err, sizeof(err)) != 0) {
		report(REPORT_ERROR, "%s; the policy stays as it was", err);
		return;
	}
	conf_free(&dm->dm_reread);
	dm->dm_reread = fresh;
	dm->dm_policy = &dm->dm_reread;
	report(REPORT_NOTICE, "the policy was read again%s%s",
	    fresh.cf_file == NULL ? "" : " from ",
	    fresh.cf_file == NULL ? "" : fresh.cf_file);
}

void
dm_device_lost(struct dm *dm)
{
	report(REPORT_WARNING, "%s: the driver is gone; waiting for it",
	    dm->dm_device);
	if (!dm_txn_idle(dm))
		dm_txn_fail(dm, "the driver is gone");
	dm_undo_lost(dm);
	dm_device_close(dm);
	dm->dm_txn.tx_later.dq_opt = 0;
	dm->dm_reopen_ns = frz_now_ns() + DM_REOPEN_NS;
}

/* The driver may be stopped and the open hang: not while anything is frozen. */
static void
dm_reopen(struct dm *dm, uint64_t now)
{
	char err[CONF_ERR_MAX];

	if (dm->dm_fd != -1 || dm->dm_quit || now < dm->dm_reopen_ns ||
	    !dm_txn_idle(dm))
		return;
	dm->dm_reopen_ns = now + DM_REOPEN_NS;
	if (dm_device_open(dm, err, sizeof(err)) == 0)
		report(REPORT_NOTICE, "%s: the driver is back", dm->dm_device);
	else
		report(REPORT_DEBUG, "%s", err);
}

/* Whether something may be left of an earlier run, and can be looked at. */
static bool
dm_may_look_back(const struct dm *dm)
{
	return ((dm->dm_recover_due || dm->dm_veto[0] != '\0') &&
	    dm_txn_idle(dm) && dm_helpers_ready(dm));
}

static int
dm_wait_ms(struct dm *dm)
{
	uint64_t at = dm_txn_deadline(dm), now = frz_now_ns();

	at = dm_earlier(at, dm_helpers_deadline(dm));
	at = dm_earlier(at, dm_history_deadline(dm));
	at = dm_earlier(at, notify_due());
	if (dm_may_look_back(dm))
		at = dm_earlier(at, dm->dm_recover_ns);
	if (dm->dm_quit || (dm->dm_fd == -1 && dm_txn_idle(dm)))
		at = dm_earlier(at, dm->dm_reopen_ns);
	if (at == DM_NEVER)
		return (-1);
	if (at <= now)
		return (0);
	/* Rounded up, so that the time has come when poll returns. */
	return ((int)dm_earlier((at - now) / DM_NS_PER_MS + 1, 3600000));
}

/* Where each is in what is polled; those of a role each are two. */
enum {
	DM_P_DEVICE = 0,
	DM_P_SIGNALS = 1,
	DM_P_HISTORY = 2,
	DM_P_OLD = DM_P_HISTORY + DM_HISTORY_NFDS,
	DM_P_CTL = DM_P_OLD + DM_NROLES,
	DM_P_END = DM_P_CTL + DM_NROLES,
	DM_P_N = DM_P_END + DM_NROLES
};

/*
 * What an earlier run left is thawed before anything else is done; what could
 * not be, is tried again.
 */
static void
dm_look_back(struct dm *dm, uint64_t now)
{
	if (!dm_may_look_back(dm))
		return;
	if (dm->dm_recover_due) {
		dm->dm_recover_due = false;
		dm_recover_start(dm);
	} else if (now >= dm->dm_recover_ns)
		dm_recover_again(dm);
	else
		return;
	dm->dm_recover_ns = frz_now_ns() + DM_RECOVER_NS;
}

static void
dm_step(struct dm *dm)
{
	struct pollfd pfd[DM_P_N];
	enum dm_role role;
	uint64_t now;
	bool busy = dm->dm_txn.tx_phase == DM_RELEASING || dm->dm_quit;

	/* Requests wait while worker and guard let go of the last one. */
	pfd[DM_P_DEVICE] = (struct pollfd) { busy ? -1 : dm->dm_fd, POLLIN, 0 };
	pfd[DM_P_SIGNALS] = (struct pollfd) { dm->dm_signals, POLLIN, 0 };
	dm_history_poll(dm, &pfd[DM_P_HISTORY]);
	for (role = 0; role < DM_NROLES; role++) {
		pfd[DM_P_OLD + role] = (struct pollfd) {
			dm_may_look_back(dm) ? dm->dm_old[role] : -1, POLLIN, 0
		};
		pfd[DM_P_CTL + role] = (struct pollfd) {
			dm->dm_helper[role].dh_ctl, POLLIN, 0
		};
		pfd[DM_P_END + role] = (struct pollfd) {
			dm->dm_helper[role].dh_pidfd, POLLIN, 0
		};
	}
	if (fdwait(pfd, DM_P_N, dm_wait_ms(dm)) == -1)
		return;
	for (role = 0; role < DM_NROLES; role++) {
		if (pfd[DM_P_CTL + role].revents != 0)
			dm_helpers_read(dm, role);
		if (pfd[DM_P_END + role].revents != 0)
			dm_helpers_reap(dm, role);
	}
	if ((pfd[DM_P_OLD + DM_WORKER].revents |
		pfd[DM_P_OLD + DM_GUARD].revents) != 0)
		dm->dm_recover_ns = 0;
	if (pfd[DM_P_SIGNALS].revents != 0)
		dm_signal(dm);
	if (pfd[DM_P_DEVICE].revents != 0 && dm->dm_fd != -1) {
		if ((pfd[DM_P_DEVICE].revents & (POLLERR | POLLHUP)) != 0)
			dm_device_lost(dm);
		else if (dm->dm_txn.tx_phase != DM_RELEASING)
			dm_device_read(dm);
	}
	dm_history_event(dm, &pfd[DM_P_HISTORY]);
	now = frz_now_ns();
	notify_alive(now);
	dm_look_back(dm, now);
	dm_helpers_tick(dm, now);
	dm_txn_tick(dm, now);
	dm_history_tick(dm, now);
	dm_reopen(dm, now);
	dm_reread(dm);
}

/* Runs the loop, without the device, until worker and guard are there. */
static int
dm_start_helpers(struct dm *dm)
{
	uint64_t began = frz_now_ns();
	int error;

	dm->dm_reopen_ns = DM_NEVER;
	dm_helpers_init(dm);
	error = frz_page_create(&dm->dm_page_fd, &dm->dm_page);
	if (error != 0) {
		report(REPORT_ERROR, "no shared memory: %s", strerror(error));
		return (1);
	}
	dm_helpers_start(dm);
	while (!dm_helpers_ready(dm) && !dm->dm_quit) {
		/* A guard that is a service may still be busy with the past. */
		if (frz_now_ns() > began + DM_QUIT_NS &&
		    dm->dm_conf.cf_guard != NULL &&
		    dm->dm_helper[DM_WORKER].dh_ready)
			return (0);
		if (frz_now_ns() > began + DM_BEGIN_NS ||
		    dm->dm_helper[DM_WORKER].dh_pid == 0 ||
		    (dm->dm_helper[DM_GUARD].dh_pid == 0 &&
			dm->dm_conf.cf_guard == NULL)) {
			report(REPORT_ERROR,
			    "%s: worker and guard do not start",
			    dm->dm_freezer);
			return (1);
		}
		dm_step(dm);
	}
	return (dm->dm_quit ? 1 : 0);
}

/* A parent that ends when the child has started, with its status. */
static int
dm_daemonize(void)
{
	char status = 1;
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) == -1)
		return (-1);
	pid = fork();
	if (pid == -1)
		return (-1);
	if (pid > 0) {
		(void)close(fds[1]);
		if (read(fds[0], &status, 1) != 1)
			status = 1;
		relay_end();
		_exit(status);
	}
	(void)close(fds[0]);
	(void)setsid();
	return (fds[1]);
}

static void
dm_detach(int parent)
{
	int fd;

	report_to_syslog();
	fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (fd != -1) {
		(void)dup2(fd, STDIN_FILENO);
		(void)dup2(fd, STDOUT_FILENO);
		(void)dup2(fd, STDERR_FILENO);
		(void)close(fd);
	}
	(void)!write(parent, "", 1);
	(void)close(parent);
}

/* The driver may not know yet that a daemon before this one has ended. */
static int
dm_open_device(struct dm *dm)
{
	static const struct timespec pause = { 0, 50 * DM_NS_PER_MS };
	char err[CONF_ERR_MAX];
	int error, tries = 10;

	while ((error = dm_device_open(dm, err, sizeof(err))) == EBUSY &&
	    --tries > 0)
		nanosleep(&pause, NULL);
	if (error == EBUSY && !dm->dm_foreground)
		report(REPORT_NOTICE, "%s; it is left to that", err);
	else if (error != 0)
		report(REPORT_ERROR, "%s", err);
	return (error);
}

static int
dm_serve(struct dm *dm)
{
	int error, parent = -1;

	notify_init(frz_now_ns());
	dm_os_only_fds();
	/* Neither its directory nor its output may be on what is frozen. */
	relay_begin();
	if (dm_record_lock(dm) != 0)
		return (1);
	error = dm_record_open(dm);
	if (error == 0 && chdir(dm_os_dir(dm)) == -1)
		error = errno;
	if (error != 0) {
		report(REPORT_ERROR, "%s/frozen: %s", dm->dm_conf.cf_run_dir,
		    strerror(error));
		return (1);
	}
	if (!dm->dm_foreground && (parent = dm_daemonize()) == -1)
		return (1);
	dm_os_lock_memory();
	if (dm_signals(dm) != 0 || dm_start_helpers(dm) != 0)
		return (1);
	dm->dm_recover_due = true;
	dm_look_back(dm, frz_now_ns());
	error = dm_open_device(dm);
	if (error != 0) {
		dm_helpers_stop(dm);
		/* Whoever started it as a service has what it wants. */
		if (error == EBUSY && parent != -1) {
			dm_detach(parent);
			return (0);
		}
		return (1);
	}
	if (!dm->dm_foreground)
		dm_detach(parent);
	dm_os_confine();
	(void)notify_say("READY=1");
	report(REPORT_NOTICE, "serving %s", dm->dm_device);
	while (!dm->dm_quit ||
	    (!dm_txn_idle(dm) && frz_now_ns() < dm->dm_reopen_ns))
		dm_step(dm);
	report_release();
	if (dm_txn_idle(dm))
		dm_history_finish(dm);
	dm_helpers_stop(dm);
	return (0);
}

static int
dm_thaw_all(struct dm *dm, bool force)
{
	int error, status;

	relay_begin();
	if (mkdir(dm->dm_conf.cf_run_dir, 0755) == -1 && errno != EEXIST) {
		report(REPORT_ERROR, "%s: %s", dm->dm_conf.cf_run_dir,
		    strerror(errno));
		return (1);
	}
	error = dm_record_open(dm);
	if (error != 0) {
		report(REPORT_ERROR, "%s/frozen: %s%s", dm->dm_conf.cf_run_dir,
		    strerror(error),
		    force ? "" : " (--force thaws everything without it)");
		if (!force)
			return (1);
	}
	/* A guard that is a service has a daemon, or is what has ended. */
	dm->dm_conf.cf_guard = NULL;
	if (dm_signals(dm) != 0 || dm_start_helpers(dm) != 0)
		return (1);
	status = dm_recover_all(dm, force);
	dm_helpers_stop(dm);
	return (status);
}

int
main(int argc, char *argv[])
{
	enum dm_mode mode = DM_SERVE;
	struct plan_policy pp = { 0 };
	struct dm *dm = &dm0;
	int status = 1;

	dm_history_init(&dm->dm_history);
	if (report_own_files() != 0)
		return (1);
	report_init("hv_vss_daemon", REPORT_NOTICE);
	dm_options(dm, argc, argv, &mode);
	switch (mode) {
	case DM_CHECK:
		plan_policy_set(&pp, dm->dm_policy);
		status = check_print(&pp, dm->dm_form, stdout, stderr);
		if (ferror(stdout) != 0)
			report(REPORT_ERROR,
			    "standard output cannot be written; what is there "
			    "is not the whole");
		return (status);
	case DM_THAW_ALL:
	case DM_THAW_FORCE:
		status = dm_thaw_all(dm, mode == DM_THAW_FORCE);
		break;
	case DM_SERVE:
		status = dm_serve(dm);
		break;
	}
	relay_end();
	return (status);
}
