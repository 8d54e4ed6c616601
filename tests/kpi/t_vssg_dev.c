/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* The character devices: every call, wrong ones, storms, poll and kqueue. */

#include "kpi_fixture.h"

#define STORM_THREADS 4
#define STORM_TURNS   400

static void
the_modes_are_those_of_the_manual(void **state)
{
	(void)state;
	assert_int_equal(kpi_cdev_mode(FS), 0600);
	assert_int_equal(kpi_cdev_mode(APP), 0660);
}

static void
the_fs_device_opens_once_and_clients_are_limited(void **state)
{
	struct client c[VSSG_NCLIENTS], more;
	unsigned i;

	(void)state;
	assert_int_equal(try_open(&more, FS, "another", 0), EBUSY);
	for (i = 0; i < 16; i++)
		assert_int_equal(try_open(&c[i], APP, "of one user", 1001), 0);
	assert_int_equal(try_open(&more, APP, "of one user", 1001), EMFILE);
	for (; i < VSSG_NCLIENTS - 1; i++)
		assert_int_equal(try_open(&c[i], APP, "root's", 0), 0);
	assert_int_equal(try_open(&more, APP, "one too many", 0), EMFILE);
	assert_int_equal(kpi_sysctl_u64(vdev, "turned_away"), 3);
	kpi_taskqueues_settle();
	assert_true(kpi_log_has("2 opens were turned away"));
	kpi_log_clear();
	while (i-- > 0)
		client_close(&c[i]);
	assert_int_equal(try_open(&more, APP, "now", 1001), 0);
	client_close(&more);
	kpi_taskqueues_settle();
	assert_false(kpi_log_has("turned away"));
}

static void
every_wrong_ioctl_is_refused_and_harmless(void **state)
{
	uint64_t data[_IOC_SIZEMASK / sizeof(uint64_t) + 1];
	static const unsigned sizes[] = { 0, 1, 8, 63, 64, 65, 256, 6256,
		8191 };
	unsigned dir, nr, s;
	u_long cmd;
	int error;

	(void)state;
	ask(VSS_WIRE_FREEZE);
	memset(data, 0xff, sizeof(data));
	for (dir = 0; dir < 4; dir++)
		for (nr = 0; nr < 256; nr++)
			for (s = 0; s < nitems(sizes); s++) {
				cmd = _IOC(dir, 'v', nr, sizes[s]);
				if (cmd == IOCHVVSSREAD ||
				    cmd == IOCHVVSSTIMELEFT ||
				    cmd == IOCHVVSSLUNS)
					continue;
				error = kpi_ioctl(app.c_file, cmd, data);
				assert_int_equal(error,
				    cmd == IOCHVVSSWRITE ||
					    cmd == IOCHVVSSHELLO ||
					    cmd == IOCHVVSSREASON ?
					EINVAL :
					ENOTTY);
			}
	assert_int_equal(kpi_ioctl(app.c_file, FIONBIO, NULL), 0);
	assert_int_equal(kpi_ioctl(app.c_file, FIOASYNC, NULL), 0);
	serve(&app, HV_VSS_FREEZE, VSS_SUCCESS);
	serve(&fs, HV_VSS_FREEZE, VSS_SUCCESS);
	assert_int_equal(reply(), VMBUS_ICMSG_S_OK);
	thaw();
}

static void
wrong_answers_are_refused_and_late_ones_ignored(void **state)
{
	struct hv_vss_opt_msg good;

	(void)state;
	ask(VSS_WIRE_CHECK_HOT_BACKUP);
	assert_int_equal(read_op(&app), HV_VSS_CHECK);
	good = app.c_msg;
	app.c_msg.msgid += 1;
	assert_int_equal(answer(&app, VSS_SUCCESS), EINVAL);
	app.c_msg = good;
	app.c_msg.opt = HV_VSS_THAW;
	assert_int_equal(answer(&app, VSS_SUCCESS), EINVAL);
	app.c_msg = good;
	fs.c_msg = good;
	assert_int_equal(answer(&fs, VSS_SUCCESS), EINVAL);
	assert_int_equal(answer(&app, VSS_SUCCESS), 0);
	assert_int_equal(answer(&app, VSS_FAIL), 0);
	serve(&fs, HV_VSS_CHECK, VSS_SUCCESS);
	assert_int_equal(reply(), VMBUS_ICMSG_S_OK);
}

static void
extensions_say_name_time_and_disks(void **state)
{
	struct hv_vss_hello hh = { .hh_name = "billing",
		.hh_level = 7,
		.hh_flags = HV_VSS_WANT_PREPARE };
	struct hv_vss_time_left ht;
	struct hv_vss_luns hs;

	(void)state;
	assert_int_equal(kpi_ioctl(app.c_file, IOCHVVSSHELLO, &hh), 0);
	ask(VSS_WIRE_FREEZE);
	serve(&app, HV_VSS_PREPARE, VSS_SUCCESS);
	assert_int_equal(kpi_ioctl(app.c_file, IOCHVVSSTIMELEFT, &ht), 0);
	assert_int_equal(ht.ht_hold_ms, 60000);
	assert_int_equal(ht.ht_freeze_ms, 120000);
	assert_true(ht.ht_left_ms > 0 && ht.ht_left_ms <= 10000);
	assert_int_equal(kpi_ioctl(app.c_file, IOCHVVSSLUNS, &hs), 0);
	assert_int_equal(hs.hs_form, HV_VSS_LUNS_NONE);
	assert_int_equal(read_op(&app), HV_VSS_FREEZE);
	assert_int_equal(answer(&app, VSS_FAIL), 0);
	assert_int_equal(reply(), FAIL_S);
	kpi_taskqueues_settle();
	assert_true(kpi_log_has("application billing"));
	hh.hh_reserved[3] = 1;
	assert_int_equal(kpi_ioctl(app.c_file, IOCHVVSSHELLO, &hh), EINVAL);
	memset(&hh, 'a', sizeof(hh.hh_name));
	hh.hh_reserved[3] = 0;
	assert_int_equal(kpi_ioctl(app.c_file, IOCHVVSSHELLO, &hh), EINVAL);
}

static void *
poll_long(void *arg)
{
	struct client *c = arg;

	return ((void *)(intptr_t)readable(c, WAIT_MS));
}

static void
who_sleeps_in_poll_is_woken(void **state)
{
	pthread_t t;
	void *revents;

	(void)state;
	pthread_create(&t, NULL, poll_long, &app);
	ask(VSS_WIRE_CHECK_HOT_BACKUP);
	pthread_join(t, &revents);
	assert_int_equal((intptr_t)revents, POLLIN);
	pthread_create(&t, NULL, poll_long, &fs);
	kpi_module_unload(true);
	pthread_join(t, &revents);
	assert_true(((intptr_t)revents & POLLHUP) != 0);
}

static void
kqueue_tells_what_poll_tells(void **state)
{
	struct kpi_kqueue *kq = kpi_kqueue();
	unsigned short flags;
	int64_t data;

	(void)state;
	assert_int_equal(kpi_kevent_add(kq, app.c_file, EVFILT_WRITE), EINVAL);
	assert_int_equal(kpi_kevent_add(kq, app.c_file, EVFILT_READ), 0);
	assert_int_equal(kpi_kevent(kq, 0, &flags, &data), ETIMEDOUT);
	ask(VSS_WIRE_FREEZE);
	assert_int_equal(kpi_kevent(kq, WAIT_MS, &flags, &data), 0);
	assert_int_equal(data, sizeof(struct hv_vss_opt_msg));
	serve(&app, HV_VSS_FREEZE, VSS_SUCCESS);
	assert_int_equal(kpi_kevent(kq, 0, &flags, &data), ETIMEDOUT);
	serve(&fs, HV_VSS_FREEZE, VSS_SUCCESS);
	assert_int_equal(reply(), VMBUS_ICMSG_S_OK);
	ask(VSS_WIRE_THAW);
	serve(&fs, HV_VSS_THAW, VSS_SUCCESS);
	assert_int_equal(kpi_kevent(kq, WAIT_MS, &flags, &data), 0);
	serve(&app, HV_VSS_THAW, VSS_SUCCESS);
	kpi_kqueue_close(kq);
}

static void
who_waits_by_kqueue_takes_part(void **state)
{
	struct kpi_kqueue *kq = kpi_kqueue();
	struct client other;

	(void)state;
	assert_int_equal(try_open(&other, APP, "other", 0), 0);
	assert_int_equal(kpi_sysctl_u64(vdev, "apps"), 1);
	assert_int_equal(kpi_kevent_add(kq, other.c_file, EVFILT_READ), 0);
	assert_int_equal(kpi_sysctl_u64(vdev, "apps"), 2);
	kpi_kqueue_close(kq);
	client_close(&other);
}

static void
nobody_opens_what_is_going(void **state)
{
	struct client late;

	(void)state;
	mtx_lock(&vssg.vs_mtx);
	vssg.vs_state = VSSG_STOPPING;
	mtx_unlock(&vssg.vs_mtx);
	assert_int_equal(try_open(&late, APP, "late", 0), ENXIO);
	mtx_lock(&vssg.vs_mtx);
	vssg.vs_state = VSSG_RUNNING;
	mtx_unlock(&vssg.vs_mtx);
}

struct watcher {
	struct kpi_kqueue *w_kq;
	unsigned short w_flags;
	int w_error;
};

static void *
kevent_long(void *arg)
{
	struct watcher *w = arg;
	int64_t data;

	w->w_error = kpi_kevent(w->w_kq, WAIT_MS, &w->w_flags, &data);
	return (NULL);
}

static void
a_watcher_gets_eof_when_the_module_goes(void **state)
{
	struct watcher w = { kpi_kqueue(), 0, 0 };
	struct kpi_kqueue *absent = kpi_kqueue();
	pthread_t t;
	int64_t data;

	(void)state;
	assert_int_equal(kpi_kevent_add(w.w_kq, app.c_file, EVFILT_READ), 0);
	assert_int_equal(kpi_kevent_add(absent, fs.c_file, EVFILT_READ), 0);
	pthread_create(&t, NULL, kevent_long, &w);
	assert_int_equal(kpi_module_unload(true), 0);
	pthread_join(t, NULL);
	assert_int_equal(w.w_error, 0);
	assert_true((w.w_flags & EV_EOF) != 0);
	/* Who did not come in time has no event any more: no code to run. */
	assert_int_equal(kpi_kevent(absent, 0, &w.w_flags, &data), ETIMEDOUT);
	assert_int_equal(kpi_kevent_add(absent, fs.c_file, EVFILT_READ), ENXIO);
	kpi_kqueue_close(w.w_kq);
	kpi_kqueue_close(absent);
}

static void
close_app(void)
{
	kpi_knote_taken(NULL);
	client_close(&app);
}

static void
a_file_that_is_closed_as_its_events_go_is_not_closed_under_the_mutex(
    void **state)
{
	struct kpi_kqueue *kq = kpi_kqueue();

	(void)state;
	assert_int_equal(kpi_kevent_add(kq, app.c_file, EVFILT_READ), 0);
	kpi_knote_taken(close_app);
	assert_int_equal(kpi_module_unload(true), 0);
	assert_null(app.c_file);
	kpi_kqueue_close(kq);
}

static void
the_module_waits_for_a_close_that_has_begun(void **state)
{
	pthread_t t;

	(void)state;
	t = begin_close(&app, APP);
	assert_int_equal(kpi_module_unload(false), EBUSY);
	assert_int_equal(kpi_module_unload(true), 0);
	assert_false(end_close(t));
}

/*
 * The storm: threads that open, poll, watch, read, answer anything and close,
 * while the host asks, time flies and the channel comes and goes.
 */
static _Atomic bool storm_over;

static void
storm_turn(struct client *c, struct kpi_kqueue *kq, unsigned turn)
{
	struct hv_vss_opt_msg msg;
	unsigned short flags;
	int64_t data;

	if (turn % 3 == 0)
		kpi_kevent_add(kq, c->c_file, EVFILT_READ);
	if (turn % 2 == 0)
		readable(c, 1);
	else
		kpi_kevent(kq, 1, &flags, &data);
	if (kpi_ioctl(c->c_file, IOCHVVSSREAD, &msg) == 0) {
		msg.status = turn % 7 == 0 ? VSS_FAIL : VSS_SUCCESS;
		msg.msgid += turn % 11 == 0;
		kpi_ioctl(c->c_file, IOCHVVSSWRITE, &msg);
	}
}

static void *
storm_client(void *arg)
{
	const char *dev = arg;
	struct kpi_kqueue *kq;
	struct client c;
	unsigned turn;

	for (turn = 0; !storm_over; turn++) {
		if (try_open(&c, dev, "storm", 0) != 0)
			continue;
		kq = kpi_kqueue();
		storm_turn(&c, kq, turn);
		storm_turn(&c, kq, turn + 1);
		if (turn % 5 == 0)
			storm_turn(&c, kq, turn + 2);
		kpi_kqueue_close(kq);
		client_close(&c);
	}
	return (NULL);
}

static void
storm_host(unsigned turn)
{
	static const uint8_t ops[] = { VSS_WIRE_CHECK_HOT_BACKUP,
		VSS_WIRE_FREEZE, VSS_WIRE_THAW, VSS_WIRE_BACKUP_COMPLETE };
	uint8_t buf[VMBUS_ICMSG_PKT_MAX];
	uint32_t len = sizeof(buf);
	uint64_t xactid;

	ask_async(ops[turn % nitems(ops)]);
	if (turn % 4 == 0)
		kpi_advance_ms(700);
	while (kpi_host_recv(chan, &xactid, buf, &len, 1) == 0)
		len = sizeof(buf);
	if (turn % 40 == 39) {
		kpi_chan_revoke(chan);
		channel_gone();
		channel_offer();
	}
}

static void
open_and_close_storms_do_no_harm(void **state)
{
	pthread_t t[STORM_THREADS];
	unsigned i;

	(void)state;
	client_close(&fs);
	client_close(&app);
	storm_over = false;
	for (i = 0; i < STORM_THREADS; i++)
		pthread_create(&t[i], NULL, storm_client,
		    __DECONST(char *, i == 0 ? FS : APP));
	for (i = 0; i < STORM_TURNS; i++)
		storm_host(i);
	/* And the module goes away under them. */
	kpi_chan_revoke(chan);
	assert_int_equal(kpi_module_unload(true), 0);
	storm_over = true;
	for (i = 0; i < STORM_THREADS; i++)
		pthread_join(t[i], NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(the_modes_are_those_of_the_manual),
		CASE(the_fs_device_opens_once_and_clients_are_limited),
		CASE(every_wrong_ioctl_is_refused_and_harmless),
		CASE(wrong_answers_are_refused_and_late_ones_ignored),
		CASE(extensions_say_name_time_and_disks),
		CASE(who_sleeps_in_poll_is_woken),
		CASE(kqueue_tells_what_poll_tells),
		CASE(who_waits_by_kqueue_takes_part),
		CASE(nobody_opens_what_is_going),
		CASE(a_watcher_gets_eof_when_the_module_goes),
		CASE(
		    a_file_that_is_closed_as_its_events_go_is_not_closed_under_the_mutex),
		CASE(the_module_waits_for_a_close_that_has_begun),
		CASE(open_and_close_storms_do_no_harm),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
