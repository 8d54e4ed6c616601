/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * hv_vss_host(8): the Hyper-V host's side of the VSS service, for tests, demos
 * and development without Hyper-V.  Options, signals and the exit code; the
 * rest is listed in host.h.
 */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "host.h"
#include "version.h"

#define HOST_SECONDS_MAX 86400.0

static int host_wake_write = -1;

static const char host_usage[] =
    "usage: hv_vss_host --listen SOCK [--json] [--wait SECONDS]\n"
    "                   [--timeout SECONDS] [--lun DISK]... ACTION...\n"
    "       hv_vss_host --%s PATH [--json] [--wait SECONDS]\n"
    "                   [--timeout SECONDS] ACTION...\n";

static const char host_help_begin[] =
    "\n"
    "Plays the Hyper-V host's part of a backup to a guest: waits for one, then\n"
    "does the actions in order, each awaiting its reply.\n"
    "\n"
    "  --listen SOCK      offer the channel on this UNIX socket, to\n"
    "                     hv_vss_driver --transport emu:SOCK\n";

static const char host_help[] =
    "  --json             one JSON object a reply\n"
    "  --wait SECONDS     how long to wait for a guest (10)\n"
    "  --timeout SECONDS  how long to wait for a reply (freeze 130, others 15)\n"
    "  --lun DISK         FREEZE names this disk: CONTROLLER:PORT:TARGET:LUN,\n"
    "                     the GUID of a VMBus device and three numbers\n"
    "\n"
    "actions:\n"
    "  negotiate          agree on versions (done first, unless given first)\n"
    "  check freeze thaw dm-info complete\n"
    "                     the host's requests\n"
    "  raw=HEX            these bytes as a packet, from the pipe header on\n"
    "  rescind            take the channel away; what follows offers it anew\n"
    "  hold=MS            do nothing for so many milliseconds\n"
    "  snapshot=CMD       run sh -c CMD\n"
    "  checkpoint=CMD     check, freeze, CMD if that succeeded, thaw, complete\n"
    "  ACTION&            send the request without waiting for its reply\n"
    "  wait               wait for all replies that are still to come\n"
    "\n"
    "exit status: 0 every reply was success, 3 one was failure, 4 one did not\n"
    "come in time, 5 CMD failed; the largest that applies; 1 usage or link.\n";

void
host_warn(const struct host *ho, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "hv_vss_host: ");
	if (ho != NULL)
		fprintf(stderr, "%s: ", ho->ho_path);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\n");
}

uint64_t
host_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((uint64_t)ts.tv_sec * VSS_NS_PER_S + (uint64_t)ts.tv_nsec);
}

void
host_result(struct host *ho, enum host_exit code)
{
	if (ho->ho_exit == HOST_EXIT_USAGE)
		return;
	if (code == HOST_EXIT_USAGE || code > ho->ho_exit)
		ho->ho_exit = code;
}

static void
host_signal(int sig)
{
	unsigned char byte = (unsigned char)sig;
	int saved = errno;

	/* A full pipe already says that something came. */
	if (write(host_wake_write, &byte, 1) < 0)
		errno = saved;
	errno = saved;
}

static int
host_signals(struct host *ho)
{
	static const int ends[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction sa, was;
	size_t i;
	int fds[2];

	if (pipe2(fds, O_NONBLOCK | O_CLOEXEC) != 0)
		return (errno);
	ho->ho_wakefd = fds[0];
	host_wake_write = fds[1];
	memset(&sa, 0, sizeof(sa));
	sigemptyset(&sa.sa_mask);
	sa.sa_flags = SA_RESTART;
	sa.sa_handler = host_signal;
	for (i = 0; i < VSS_NELEM(ends); i++) {
		if (sigaction(ends[i], NULL, &was) != 0)
			return (errno);
		/* As nohup has it: who started this wants it to go on. */
		if (was.sa_handler != SIG_IGN &&
		    sigaction(ends[i], &sa, NULL) != 0)
			return (errno);
	}
	if (sigaction(SIGCHLD, &sa, NULL) != 0)
		return (errno);
	sa.sa_handler = SIG_IGN;
	return (sigaction(SIGPIPE, &sa, NULL) == 0 ? 0 : errno);
}

/* Seconds, fractions allowed; -1 after saying what is wrong. */
static int
host_seconds(const char *option, const char *text, double min, uint64_t *ns)
{
	double s;
	char *end;

	errno = 0;
	s = strtod(text, &end);
	if (errno != 0 || end == text || *end != '\0' || !isfinite(s) ||
	    s < min || s > HOST_SECONDS_MAX) {
		host_warn(NULL,
		    "--%s %s: not a number of seconds from %g to %g", option,
		    text, min, HOST_SECONDS_MAX);
		return (-1);
	}
	*ns = (uint64_t)(s * 1e9);
	return (0);
}

static int
host_usage_error(const char *what)
{
	if (what != NULL)
		host_warn(NULL, "%s", what);
	fprintf(stderr, host_usage, host_own.hw_option);
	return (-1);
}

/* 0, -1 after saying what is wrong, 1 after --help and --version. */
static int
host_options(struct host *ho, int argc, char **argv)
{
	const struct option options[] = {
		{ "listen", required_argument, NULL, 'l' },
		{ host_own.hw_option, required_argument, NULL, 'o' },
		{ "json", no_argument, NULL, 'j' },
		{ "wait", required_argument, NULL, 'w' },
		{ "timeout", required_argument, NULL, 't' },
		{ "lun", required_argument, NULL, 'L' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'l':
		case 'o':
			if (ho->ho_path != NULL)
				return (host_usage_error(
				    "give one path to the guest, once"));
			ho->ho_path = optarg;
			ho->ho_own = c == 'o';
			ho->ho_hvutils = ho->ho_own && host_own.hw_hvutils;
			break;
		case 'j':
			ho->ho_json = true;
			break;
		case 'w':
			if (host_seconds("wait", optarg, 0, &ho->ho_wait_ns))
				return (-1);
			break;
		case 't':
			if (host_seconds(
				"timeout", optarg, 0.001, &ho->ho_timeout_ns))
				return (-1);
			break;
		case 'L':
			if (host_script_lun(ho, optarg) != 0)
				return (-1);
			break;
		case 'h':
			printf(host_usage, host_own.hw_option);
			fputs(host_help_begin, stdout);
			fputs(host_own.hw_usage, stdout);
			fputs(host_help, stdout);
			return (1);
		case 'V':
			puts("hv_vss_host " HV_VSS_VERSION);
			return (1);
		default:
			return (host_usage_error(NULL));
		}
	}
	if (ho->ho_path == NULL)
		return (host_usage_error("give a path to the guest"));
	if (ho->ho_hvutils && ho->ho_nluns > 0)
		return (host_usage_error("--lun: what --hv-utils stands in for "
					 "carries no list of disks"));
	if (optind == argc)
		return (host_usage_error("no action is given"));
	return (host_script(ho, argv + optind, argc - optind));
}

int
main(int argc, char **argv)
{
	struct host ho;
	int error;

	memset(&ho, 0, sizeof(ho));
	ho.ho_wait_ns = 10 * VSS_NS_PER_S;
	error = host_options(&ho, argc, argv);
	if (error != 0) {
		host_script_free(&ho);
		return (error > 0 ? HOST_EXIT_OK : HOST_EXIT_USAGE);
	}
	error = host_signals(&ho);
	if (error != 0)
		host_warn(NULL, "signals: %s", strerror(error));
	else if (ho.ho_own)
		error = host_own.hw_init(&ho);
	else
		error = host_ring_init(&ho);
	if (error != 0) {
		host_script_free(&ho);
		return (HOST_EXIT_USAGE);
	}
	host_run(&ho);
	ho.ho_front->hf_fini(ho.ho_front_arg);
	host_reqs_free(&ho);
	host_script_free(&ho);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		host_warn(NULL, "standard output: %s", strerror(errno));
		host_result(&ho, HOST_EXIT_USAGE);
	}
	return (ho.ho_exit);
}
