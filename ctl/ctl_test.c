/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * hv_vssctl test: a checkpoint of this machine's own, asked of the driver.
 * Whoever interrupts this ends it: the driver lets go as soon as it sees its
 * connection closed.
 */

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ctl.h"
#include "ctl_view.h"

#define TEST_FAILED    2 /* exit status */
#define TEST_CANCELLED 3
#define TEST_HOLD_MAX  10 /* seconds */
#define TEST_LINE      4096
/* The driver's own limits end it before that. */
#define TEST_WAIT_MS 1000000

struct ctl_test {
	struct ctl_view ts_view;
	bool ts_yes;
	uint64_t ts_hold_s;
	bool ts_over;
	int ts_status;
};

/* Freezes everything for a moment: that is asked about, on a terminal. */
static bool
test_confirmed(const struct ctl_test *ts)
{
	char answer[16] = "";

	if (ts->ts_yes)
		return (true);
	if (isatty(STDIN_FILENO) != 1) {
		(void)fprintf(stderr,
		    "hv_vssctl: test: it brings applications and file systems "
		    "to rest for a moment; --yes says that you want that\n");
		return (false);
	}
	(void)fprintf(stderr,
	    "This brings all applications that take part and all file systems "
	    "to rest,\nholds them for %llu s and lets them go. Go on? [y/N] ",
	    (unsigned long long)ts->ts_hold_s);
	(void)fflush(stderr);
	return (fgets(answer, sizeof(answer), stdin) != NULL &&
	    (answer[0] == 'y' || answer[0] == 'Y'));
}

static void
test_result(struct ctl_test *ts, const struct json_value *jv)
{
	char result[32], why[CKPT_REASON_MAX];

	json_copy(json_get(jv, "result"), result, sizeof(result));
	json_copy(json_get(json_get(jv, "reason"), "text"), why, sizeof(why));
	ts->ts_over = true;
	ts->ts_status = strcmp(result, "ok") == 0 ? 0 :
	    strcmp(result, "cancelled") == 0	  ? TEST_CANCELLED :
						    TEST_FAILED;
	if (ts->ts_view.vw_json)
		return;
	ctl_colour(stdout,
	    ts->ts_status == 0			? CTL_GOOD :
		ts->ts_status == TEST_CANCELLED ? CTL_WARN :
						  CTL_BAD,
	    "%s", result);
	printf("%s%s\n", why[0] != '\0' ? ": " : "", why);
}

/* One line of the driver's: a step, the result, or why it does not begin. */
static void
test_line(struct ctl_test *ts, const char *line, size_t len)
{
	struct ctl_view *vw = &ts->ts_view;
	char word[128];
	struct json_doc jd;

	if (vw->vw_json)
		printf("%s\n", line);
	if (json_parse(&jd, line, len) != 0) {
		ts->ts_over = true;
		(void)snprintf(vw->vw_err, sizeof(vw->vw_err),
		    "test: the driver is not understood");
	} else if (json_get(jd.jd_values, "error") != NULL) {
		json_copy(json_get(jd.jd_values, "error"), word, sizeof(word));
		ts->ts_over = true;
		(void)snprintf(
		    vw->vw_err, sizeof(vw->vw_err), "test: %s", word);
	} else if (json_get(jd.jd_values, "result") != NULL)
		test_result(ts, jd.jd_values);
	else if (!vw->vw_json && isatty(STDOUT_FILENO) == 1) {
		json_copy(json_get(jd.jd_values, "step"), word, sizeof(word));
		printf("%s... ", word);
	}
	(void)fflush(stdout);
	json_free(&jd);
}

static void
test_follow(struct ctl_test *ts, int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	char buf[TEST_LINE], *end;
	size_t used = 0;
	ssize_t n;

	while (!ts->ts_over) {
		if (poll(&pfd, 1, TEST_WAIT_MS) == -1 && errno == EINTR)
			continue;
		n = recv(fd, buf + used, sizeof(buf) - 1 - used, 0);
		if (n <= 0) {
			(void)snprintf(ts->ts_view.vw_err,
			    sizeof(ts->ts_view.vw_err),
			    "test: the driver ended it; see its log");
			return;
		}
		used += (size_t)n;
		buf[used] = '\0';
		while (!ts->ts_over && (end = strchr(buf, '\n')) != NULL) {
			*end++ = '\0';
			test_line(ts, buf, strlen(buf));
			used -= (size_t)(end - buf);
			memmove(buf, end, used + 1);
		}
	}
}

static int
test_run(struct ctl_test *ts)
{
	struct ctl_view *vw = &ts->ts_view;
	char request[64];
	int fd;

	(void)snprintf(request, sizeof(request), "test %llu\n",
	    (unsigned long long)ts->ts_hold_s * 1000);
	fd = status_request(
	    vw->vw_conf.cf_run_dir, request, vw->vw_err, sizeof(vw->vw_err));
	if (fd == -1)
		return (ctl_view_fail(vw));
	vw->vw_err[0] = '\0';
	test_follow(ts, fd);
	(void)close(fd);
	return (vw->vw_err[0] != '\0' ? ctl_view_fail(vw) : ts->ts_status);
}

static bool
test_hold(struct ctl_test *ts, const char *text)
{
	if (strcmp(text, "0") == 0)
		ts->ts_hold_s = 0;
	else if (!ctl_number(text, &ts->ts_hold_s) ||
	    ts->ts_hold_s > TEST_HOLD_MAX)
		return (ctl_view_refuse(
		    &ts->ts_view, "--hold", text, "seconds, from 0 to 10"));
	return (true);
}

int
ctl_test_main(int argc, char **argv)
{
	static const struct option options[] = { { "hold", required_argument,
						     NULL, 'H' },
		{ "yes", no_argument, NULL, 'y' }, CTL_VIEW_LONGS };
	static struct ctl_test ts;
	struct ctl_view *vw = &ts.ts_view;
	bool ok = true;
	int c;

	while (ok && (c = getopt_long(argc, argv, "c:y", options, NULL)) != -1)
		if (c == 'H')
			ok = test_hold(&ts, optarg);
		else if (c == 'y')
			ts.ts_yes = true;
		else
			ok = ctl_view_option(vw, c, optarg);
	if (!ok || optind < argc)
		return (ctl_view_misused(vw, "test", ok ? argv[optind] : NULL));
	if (!ctl_view_load(vw))
		return (ctl_view_fail(vw));
	if (!test_confirmed(&ts))
		return (1);
	c = test_run(&ts);
	conf_free(&vw->vw_conf);
	return (c);
}
