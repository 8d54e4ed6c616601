/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * hv_vss_driver: the engine between a link to the host and two device files.
 * One thread, one poll loop; each turn serves the host, then the devices, then
 * the time, then carries out what the engine wants done.
 *
 * While anything is frozen it opens, writes and executes nothing on a disk:
 * messages and trace wait, a device that was unmounted is made again later.
 */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "conf.h"
#include "drv_dev.h"
#include "drv_link.h"
#include "drv_log.h"
#include "drv_proc.h"
#include "drv_status.h"
#include "drv_test.h"
#include "fdwait.h"
#include "notify.h"
#include "relay.h"
#include "report.h"
#include "version.h"

#define DRIVER_NAME  "hv_vss_driver"
#define DRIVER_USER  "hv_vss"
#define DRIVER_NDEVS 2

#define DRIVER_NFDS  (2 + DRIVER_NDEVS + STATUS_NFDS + LINK_NFDS)

/* So many packets of the host, then the devices have a turn. */
#define DRIVER_TURN 64

/* A device that cannot be made again is tried after that. */
#define DRIVER_AGAIN_NS (5 * VSS_NS_PER_S)

struct driver {
	struct conf_args dr_args;
	struct conf dr_conf;
	struct vss_engine_conf dr_engine_conf;
	struct vss_engine dr_engine;
	struct log dr_log;
	struct link dr_link;
	struct status dr_status;
	struct test dr_test;
	struct dev_ctx dr_ctx;
	struct dev dr_devs[DRIVER_NDEVS];
	uint64_t dr_again_ns[DRIVER_NDEVS]; /* made again then; or 0 */
	const char *dr_dir;
	const char *dr_transport;
	bool dr_bind;
	bool dr_foreground;
	bool dr_debug;
	int dr_signals;
	int dr_timer;
	uint64_t dr_armed_ns;
	bool dr_channel;     /* what the engine knows of the link */
	bool dr_more;	     /* packets wait that no event will announce */
	uint64_t dr_stop_ns; /* stopping: leave by then */
	bool dr_stopping;
	uint8_t dr_buf[DEV_BUF_LEN];
};

static struct driver driver;

static uint64_t
driver_now(void)
{
	struct timespec ts;

	if (clock_gettime(CLOCK_BOOTTIME, &ts) != 0)
		vss_port_assert_failed("CLOCK_BOOTTIME", __FILE__, __LINE__);
	return ((uint64_t)ts.tv_sec * VSS_NS_PER_S + (uint64_t)ts.tv_nsec);
}

/* Tells the engine when the link has come up or gone down. */
static void
driver_channel(struct driver *dr)
{
	if (dr->dr_link.ln_up == dr->dr_channel)
		return;
	dr->dr_channel = dr->dr_link.ln_up;
	if (dr->dr_channel)
		vss_engine_channel_opened(&dr->dr_engine, driver_now());
	else
		vss_engine_channel_lost(&dr->dr_engine, driver_now());
}

/* Sends the replies that there are, as far as the channel has room. */
static void
driver_reply(struct driver *dr)
{
	struct link *ln = &dr->dr_link;
	struct vss_engine_reply ey;

	while (vss_engine_reply(&dr->dr_engine, &ey)) {
		if (!test_reply(&dr->dr_test, &ey, driver_now()) &&
		    (!ln->ln_up ||
			ln->ln_ops->lo_send(ln, &ey, driver_now()) != 0))
			break;
		log_reply(&dr->dr_log, &ey);
		vss_engine_sent(&dr->dr_engine);
	}
	driver_channel(dr);
}

/*
 * A packet of the host has come: a test gives way to it.  The engine's buffer
 * may be another one after that.
 */
static void
driver_give_way(struct driver *dr, const uint8_t *buf, uint32_t len)
{
	uint8_t *now;

	if (!test_running(&dr->dr_test))
		return;
	test_cancel(&dr->dr_test, true, driver_now());
	now = vss_engine_rx_buf(&dr->dr_engine);
	VSS_ASSERT(now != NULL);
	if (now != buf)
		memcpy(now, buf, len);
}

/*
 * Takes the host's packets.  While all of the engine's slots hold replies that
 * wait for room, they stay in the ring.
 */
static void
driver_receive(struct driver *dr)
{
	struct link *ln = &dr->dr_link;
	uint64_t xactid = 0;
	uint32_t len = 0;
	uint8_t *buf;
	int error, n;

	dr->dr_more = false;
	for (n = 0; ln->ln_up; n++) {
		buf = vss_engine_rx_buf(&dr->dr_engine);
		dr->dr_more = buf == NULL || n == DRIVER_TURN;
		if (dr->dr_more)
			break;
		error = ln->ln_ops->lo_recv(
		    ln, buf, &len, &xactid, driver_now());
		if (error == 0 || error == ENOBUFS)
			driver_give_way(dr, buf, error == 0 ? len : 0);
		if (error == 0)
			vss_engine_rx(
			    &dr->dr_engine, len, xactid, driver_now());
		else if (error == ENOBUFS)
			vss_engine_rx_dropped(
			    &dr->dr_engine, len, driver_now());
		else
			break;
		driver_reply(dr);
	}
	driver_channel(dr);
}

/*
 * A device whose file system somebody unmounted is made again.  Something else
 * may have taken its path meanwhile: the first failure is told.
 */
static void
driver_device(struct driver *dr, unsigned i)
{
	struct dev *dv = &dr->dr_devs[i];
	bool told = dr->dr_again_ns[i] != 0;
	char err[DEV_ERR_MAX];
	int error;

	if (!told)
		report(REPORT_WARNING,
		    "%s: somebody unmounted it; it is made again", dv->dv_path);
	error = dev_start(dv, &dr->dr_ctx, dv->dv_kind, dr->dr_dir, err);
	if (error == 0 && told)
		report(REPORT_NOTICE, "%s: it is there again", dv->dv_path);
	if (error != 0 && !told)
		report(REPORT_ERROR, "%s; it is tried again", err);
	dr->dr_again_ns[i] = error != 0 ? driver_now() + DRIVER_AGAIN_NS : 0;
}

/* Nothing is made while anything is frozen, nor when the driver ends. */
static bool
driver_may_make(const struct driver *dr)
{
	struct vss_engine_status es;

	vss_engine_status(&dr->dr_engine, &es);
	return (!es.es_frozen && !dr->dr_stopping);
}

static void
driver_devices(struct driver *dr)
{
	unsigned i;

	for (i = 0; i < DRIVER_NDEVS; i++)
		if (dr->dr_devs[i].dv_se == NULL &&
		    driver_now() >= dr->dr_again_ns[i] && driver_may_make(dr))
			driver_device(dr, i);
}

static void
driver_arm(struct driver *dr)
{
	uint64_t at_ns = vss_engine_deadline(&dr->dr_engine);
	struct itimerspec its;
	unsigned i;

	for (i = 0; i < DRIVER_NDEVS; i++)
		if (dr->dr_again_ns[i] != 0 && dr->dr_again_ns[i] < at_ns &&
		    driver_may_make(dr))
			at_ns = dr->dr_again_ns[i];
	if (dr->dr_link.ln_retry_ns < at_ns)
		at_ns = dr->dr_link.ln_retry_ns;
	if (notify_due() < at_ns)
		at_ns = notify_due();
	if (dr->dr_stopping && dr->dr_stop_ns < at_ns)
		at_ns = dr->dr_stop_ns;
	if (status_deadline(&dr->dr_status) < at_ns)
		at_ns = status_deadline(&dr->dr_status);
	if (test_deadline(&dr->dr_test) < at_ns)
		at_ns = test_deadline(&dr->dr_test);
	if (at_ns == dr->dr_armed_ns)
		return;
	dr->dr_armed_ns = at_ns;
	memset(&its, 0, sizeof(its));
	/* All zero disarms; a time of 0 is past just as 1 is. */
	if (at_ns != VSS_ENGINE_NEVER) {
		its.it_value.tv_sec = (time_t)(at_ns / VSS_NS_PER_S);
		its.it_value.tv_nsec = (long)(at_ns % VSS_NS_PER_S) | 1;
	}
	if (timerfd_settime(dr->dr_timer, TFD_TIMER_ABSTIME, &its, NULL) != 0)
		vss_port_assert_failed("timerfd", __FILE__, __LINE__);
}

/* Carries out what the engine wants done, after any of its calls. */
static void
driver_pump(struct driver *dr)
{
	uint32_t slot;

	driver_reply(dr);
	test_turn(&dr->dr_test, driver_now());
	driver_reply(dr);
	while (vss_engine_wake(&dr->dr_engine, &slot))
		dev_wake(&dr->dr_ctx, slot);
	log_turn(&dr->dr_log);
	status_turn(&dr->dr_status, driver_now());
}

/*
 * SIGTERM: what is at rest is let go first, as when the channel goes away; the
 * clients have as long as a THAW may take.
 */
static void
driver_stop(struct driver *dr)
{
	struct signalfd_siginfo ssi;

	while (read(dr->dr_signals, &ssi, sizeof(ssi)) == sizeof(ssi)) {
		if (dr->dr_stopping)
			dr->dr_stop_ns = 0; /* Asked twice: at once. */
		else
			dr->dr_stop_ns = driver_now() +
			    dr->dr_conf.cf_limit_ms[CONF_THAW] * VSS_NS_PER_MS;
		dr->dr_stopping = true;
	}
	if (!dr->dr_stopping)
		return;
	test_cancel(&dr->dr_test, false, driver_now());
	dr->dr_link.ln_ops->lo_close(&dr->dr_link);
	dr->dr_link.ln_up = false;
	dr->dr_link.ln_retry_ns = VSS_ENGINE_NEVER;
	driver_channel(dr);
}

static bool
driver_stopped(const struct driver *dr)
{
	struct vss_engine_status es;

	if (!dr->dr_stopping)
		return (false);
	vss_engine_status(&dr->dr_engine, &es);
	return (!es.es_frozen || driver_now() >= dr->dr_stop_ns);
}

/* One turn of the loop: waits, then serves host, devices and time. */
static void
driver_turn(struct driver *dr)
{
	struct pollfd fds[DRIVER_NFDS];
	struct pollfd *link_fds = &fds[2 + DRIVER_NDEVS + STATUS_NFDS];
	uint64_t expired, now_ns;
	unsigned i, nlink;

	memset(fds, 0, sizeof(fds));
	fds[0].fd = dr->dr_signals;
	fds[1].fd = dr->dr_timer;
	for (i = 0; i < DRIVER_NDEVS; i++)
		fds[2 + i].fd = dr->dr_devs[i].dv_fd;
	for (i = 0; i < 2 + DRIVER_NDEVS; i++)
		fds[i].events = POLLIN;
	status_poll(&dr->dr_status, &fds[2 + DRIVER_NDEVS]);
	nlink = dr->dr_stopping ?
	    0 :
	    dr->dr_link.ln_ops->lo_poll(&dr->dr_link, link_fds);
	/* A reply that was sent may have made room for what waits. */
	if (fdwait(fds, 2 + DRIVER_NDEVS + STATUS_NFDS + nlink,
		dr->dr_more && vss_engine_rx_buf(&dr->dr_engine) != NULL ?
		    0 :
		    -1) < 0)
		return;
	if (fds[1].revents != 0 &&
	    read(dr->dr_timer, &expired, sizeof(expired)) > 0)
		dr->dr_armed_ns = VSS_ENGINE_NEVER;
	if (!dr->dr_stopping)
		dr->dr_link.ln_ops->lo_event(
		    &dr->dr_link, link_fds, nlink, driver_now());
	driver_channel(dr);
	driver_receive(dr);
	for (i = 0; i < DRIVER_NDEVS; i++)
		if (fds[2 + i].revents != 0)
			dev_serve(&dr->dr_devs[i]);
	now_ns = driver_now();
	if (now_ns >= vss_engine_deadline(&dr->dr_engine))
		vss_engine_timer(&dr->dr_engine, now_ns);
	if (fds[0].revents != 0)
		driver_stop(dr);
	notify_alive(now_ns);
	status_event(&dr->dr_status, &fds[2 + DRIVER_NDEVS], driver_now());
	driver_pump(dr);
}

static void
driver_run(struct driver *dr)
{
	driver_pump(dr);
	while (!driver_stopped(dr)) {
		driver_arm(dr);
		driver_turn(dr);
		driver_devices(dr);
	}
}

static int
driver_fail(const char *text)
{
	report(REPORT_ERROR, "%s", text);
	return (EINVAL);
}

static int
driver_engine(struct driver *dr)
{
	struct vss_engine_client *clients;
	uint32_t nslots;

	conf_engine(&dr->dr_conf, &dr->dr_engine_conf);
	nslots = dr->dr_engine_conf.ec_max_clients + 1;
	clients = calloc(nslots, sizeof(*clients));
	dr->dr_ctx.dc_open = calloc(nslots, sizeof(*dr->dr_ctx.dc_open));
	if (clients == NULL || dr->dr_ctx.dc_open == NULL)
		return (driver_fail("no memory"));
	dr->dr_ctx.dc_nopen = nslots;
	dr->dr_ctx.dc_engine = &dr->dr_engine;
	dr->dr_ctx.dc_log = &dr->dr_log;
	dr->dr_ctx.dc_conf = &dr->dr_conf;
	dr->dr_ctx.dc_now = driver_now;
	dr->dr_ctx.dc_buf = dr->dr_buf;
	log_init(&dr->dr_log, &dr->dr_engine, nslots, dr->dr_conf.cf_trace);
	if (vss_engine_init(&dr->dr_engine, &dr->dr_engine_conf, clients,
		&dr->dr_log.lg_trace) != 0)
		return (driver_fail("the engine refuses the limits"));
	test_init(&dr->dr_test, &dr->dr_engine, &dr->dr_log.lg_trace);
	return (0);
}

/* Descriptors that everything else needs. */
static int
driver_files(struct driver *dr)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	dr->dr_signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	dr->dr_timer = timerfd_create(
	    CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	dr->dr_armed_ns = VSS_ENGINE_NEVER;
	dr->dr_ctx.dc_proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dr->dr_signals < 0 || dr->dr_timer < 0 || dr->dr_ctx.dc_proc < 0) {
		report(REPORT_ERROR, "signalfd, timerfd or /proc: %s",
		    strerror(errno));
		return (errno);
	}
	return (0);
}

/* Lets go of the channel for good. */
static void
driver_unlink(struct driver *dr)
{
	dr->dr_link.ln_ops->lo_close(&dr->dr_link);
	if (dr->dr_link.ln_ops->lo_stop != NULL)
		dr->dr_link.ln_ops->lo_stop(&dr->dr_link);
}

/* The device files, then the link: no request comes before its devices. */
static int
driver_start(struct driver *dr)
{
	static const enum vss_engine_kind kinds[DRIVER_NDEVS] = { VSS_ENGINE_FS,
		VSS_ENGINE_APP };
	char err[DEV_ERR_MAX];
	unsigned i;

	for (i = 0; i < DRIVER_NDEVS; i++)
		if (dev_start(&dr->dr_devs[i], &dr->dr_ctx, kinds[i],
			dr->dr_dir, err) != 0)
			goto err;
	if (dr->dr_link.ln_ops->lo_start(&dr->dr_link, driver_now(), err) == 0)
		return (0);
	driver_unlink(dr);
err:
	while (i-- > 0)
		dev_remove(&dr->dr_devs[i]);
	return (driver_fail(err));
}

/* After fork: the socket says whose it is. */
static void
driver_status(struct driver *dr)
{
	struct status *st = &dr->dr_status;

	st->st_log = &dr->dr_log;
	st->st_link = &dr->dr_link;
	st->st_conf = &dr->dr_conf;
	st->st_engine = &dr->dr_engine;
	st->st_transport = dr->dr_transport;
	st->st_test = &dr->dr_test;
	status_start(st);
}

static void
driver_usage(FILE *fp)
{
	fprintf(fp,
	    "usage: " DRIVER_NAME
	    " --transport emu:SOCKET|hv_utils[:PATH]|uio[:UUID] [--bind]\n"
	    "           [--dev-dir DIR] [-dn] [-c CONF] [--set KEY=VALUE]...\n"
	    "  --transport  the way to the host (hv_utils:/dev/vmbus/hv_vss)\n"
	    "  --bind       uio: take the channel from the kernel's own driver\n"
	    "  --dev-dir    where the device files are made (/dev)\n"
	    "  -n           stay in the foreground, messages to standard error\n"
	    "  -d           say more\n"
	    "  -c CONF      another configuration file than " CONF_FILE "\n"
	    "  --set        a setting, wins over the file; limits are in seconds:\n");
	conf_help(fp);
}

static int
driver_options(struct driver *dr, int argc, char **argv)
{
	static const struct option options[] = {
		{ "transport", required_argument, NULL, 't' },
		{ "bind", no_argument, NULL, 'b' },
		{ "dev-dir", required_argument, NULL, 'D' },
		{ "set", required_argument, NULL, 's' },
		{ "foreground", no_argument, NULL, 'n' },
		{ "debug", no_argument, NULL, 'd' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	char err[CONF_ERR_MAX];
	int c;

	while ((c = getopt_long(argc, argv, "c:dn", options, NULL)) != -1) {
		switch (c) {
		case 't':
			dr->dr_transport = optarg;
			break;
		case 'b':
			dr->dr_bind = true;
			break;
		case 'D':
			dr->dr_dir = optarg;
			break;
		case 's':
			if (conf_args_set(
				&dr->dr_args, optarg, err, sizeof(err)) != 0)
				return (driver_fail(err));
			break;
		case 'c':
			if (conf_args_file(
				&dr->dr_args, optarg, err, sizeof(err)) != 0)
				return (driver_fail(err));
			break;
		case 'n':
			dr->dr_foreground = true;
			break;
		case 'd':
			dr->dr_debug = true;
			break;
		case 'h':
			driver_usage(stdout);
			exit(0);
		case 'V':
			printf(DRIVER_NAME " " HV_VSS_VERSION "\n");
			exit(0);
		default:
			fprintf(stderr, "see " DRIVER_NAME " --help\n");
			return (EINVAL);
		}
	}
	if (optind < argc) {
		report(REPORT_ERROR, "%s: not an option; see --help",
		    argv[optind]);
		return (EINVAL);
	}
	return (0);
}

/* What was asked for, and whether it can be honoured. */
static int
driver_settings(struct driver *dr)
{
	static char dir[PATH_MAX];
	char err[LINK_ERR_MAX];

	if (conf_load(&dr->dr_conf, &dr->dr_args, err, sizeof(err)) != 0 ||
	    link_init(&dr->dr_link, dr->dr_transport, dr->dr_bind, err) != 0 ||
	    dr->dr_link.ln_ops->lo_caps(&dr->dr_conf, err) != 0)
		return (driver_fail(err));
	/* The mount table knows canonical paths only. */
	if (realpath(dr->dr_dir, dir) == NULL) {
		report(REPORT_ERROR, "--dev-dir %s: %s", dr->dr_dir,
		    strerror(errno));
		return (EINVAL);
	}
	dr->dr_dir = dir;
	return (0);
}

static void
driver_fuse_says(enum fuse_log_level level, const char *fmt, va_list ap)
{
	char text[REPORT_LINE_MAX];

	(void)level;
	if (vsnprintf(text, sizeof(text), fmt, ap) < 0)
		return;
	text[strcspn(text, "\n")] = '\0';
	report(REPORT_DEBUG, "libfuse: %s", text);
}

/*
 * Where the devices are the kernel's own and so is the way to the host, nothing
 * that is done later wants root.
 */
static void
driver_confine(const struct driver *dr)
{
	const char *again[] = { dr->dr_link.ln_path, dr->dr_conf.cf_trace,
		NULL };
	bool mounts = !dr->dr_devs[0].dv_cuse;
	bool root = mounts || dr->dr_link.ln_ops != &link_utils_ops;

	proc_confine(mounts, root ? NULL : DRIVER_USER, again);
}

static int
driver_serve(struct driver *dr)
{
	unsigned i;
	int error;

	if (driver_settings(dr) != 0 || driver_files(dr) != 0 ||
	    driver_engine(dr) != 0 || driver_start(dr) != 0)
		return (1);
	if (!dr->dr_foreground) {
		report_to_syslog();
		error = proc_daemonise();
		if (error != 0)
			report(REPORT_WARNING, "stays in the foreground: %s",
			    strerror(error));
	}
	driver_status(dr);
	proc_harden();
	driver_confine(dr);
	error = notify_say("READY=1");
	if (error != 0)
		report(REPORT_WARNING,
		    "cannot tell the service manager that it is ready: %s",
		    strerror(error));
	report(REPORT_NOTICE, "ready: %s and %s", dr->dr_devs[0].dv_path,
	    dr->dr_devs[1].dv_path);
	driver_run(dr);
	driver_unlink(dr);
	for (i = 0; i < DRIVER_NDEVS; i++)
		dev_remove(&dr->dr_devs[i]);
	status_stop(&dr->dr_status);
	report_release();
	return (0);
}

int
main(int argc, char **argv)
{
	struct driver *dr = &driver;
	int status;

	if (report_own_files() != 0)
		return (1);
	report_init(DRIVER_NAME, REPORT_NOTICE);
	dr->dr_transport = "hv_utils";
	dr->dr_dir = "/dev";
	if (driver_options(dr, argc, argv) != 0)
		return (1);
	notify_init(driver_now());
	report_init(DRIVER_NAME, dr->dr_debug ? REPORT_DEBUG : REPORT_NOTICE);
	fuse_set_log_func(driver_fuse_says);
	relay_begin();
	status = driver_serve(dr);
	relay_end();
	return (status);
}
