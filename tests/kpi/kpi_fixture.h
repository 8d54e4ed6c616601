/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * A machine with the module loaded, a host on its channel and clients on its
 * devices, for the tests of sys/freebsd.  Nothing here knows the rules: it
 * sends, reads, writes and hands back what came.
 */

#ifndef _KPI_FIXTURE_H_
#define _KPI_FIXTURE_H_

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <unistd.h>

#include "vssg_var.h"

#include <dev/hyperv/hv_vss_ext.h>

#include "kpi_test.h"
#include "ring.h"

#define FS	   FS_VSS_DEV_NAME
#define APP	   APP_VSS_DEV_NAME
#define WAIT_MS	   20000 /* real time, for what must come */
#define NOTHING_MS 20	 /* and for what must not */
#define NOREPLY	   0xffffffffU
#define FAIL_S	   VMBUS_ICMSG_S_FAIL

static const uint8_t vss_guid[16] = { 0x29, 0x2e, 0xfa, 0x35, 0x23, 0xea, 0x36,
	0x42, 0x96, 0xae, 0x3a, 0x6e, 0xba, 0xcb, 0xa4, 0x40 };

static struct vmbus_channel *chan;
static device_t vdev;
static uint64_t last_xactid;

/* One program with a device open. */
struct client {
	struct thread *c_td;
	struct kpi_file *c_file;
	struct hv_vss_opt_msg c_msg; /* what it read last */
};

static inline void
channel_offer(void)
{
	int error;

	chan = kpi_chan_new(vss_guid);
	vdev = kpi_device_add(kpi_bus("vmbus"), chan, &error);
	assert_int_equal(error, 0);
}

static inline void
channel_gone(void)
{
	kpi_device_remove(vdev);
	kpi_chan_free(chan);
	chan = NULL;
	vdev = NULL;
}

static inline int
machine_up(void **state)
{
	(void)state;
	kpi_log_clear();
	assert_int_equal(kpi_module_load(), 0);
	channel_offer();
	return (0);
}

static inline int
machine_down(void **state)
{
	(void)state;
	if (vdev != NULL)
		channel_gone();
	assert_int_equal(kpi_module_unload(true), 0);
	assert_false(kpi_cdev_exists(FS));
	assert_false(kpi_cdev_exists(APP));
	assert_int_equal(kpi_malloced(), 0);
	return (0);
}

/*
 * The host.
 */

static inline uint32_t
packet(uint8_t *pkt, uint8_t op)
{
	static const struct vmbus_icmsg_agreed agreed = { { 3, 0 }, { 5, 0 } };
	struct vss_wire_request wr = { .wr_op = op };

	return (vss_wire_encode(pkt, VSS_WIRE_MIN_LEN, &agreed, &wr, NULL));
}

/* Sends and does not wait for what the guest makes of it. */
static inline uint64_t
ask_async(uint8_t op)
{
	uint8_t pkt[VSS_WIRE_MIN_LEN];
	uint32_t len = packet(pkt, op);

	assert_int_equal(
	    kpi_host_send(chan, VMBUS_RING_INBAND, ++last_xactid, pkt, len), 0);
	return (last_xactid);
}

static inline uint64_t
ask(uint8_t op)
{
	ask_async(op);
	kpi_host_settle(chan);
	return (last_xactid);
}

/* The status of the next reply, which is to this request; or NOREPLY. */
static inline uint32_t
reply_to(uint64_t xactid, int ms)
{
	static uint8_t buf[VMBUS_ICMSG_PKT_MAX];
	struct vmbus_icmsg im;
	uint32_t len = sizeof(buf);
	uint64_t got = 0;

	if (kpi_host_recv(chan, &got, buf, &len, ms) != 0)
		return (NOREPLY);
	assert_int_equal(got, xactid);
	assert_int_equal(vmbus_icmsg_decode(buf, len, &im), 0);
	assert_int_equal(
	    im.im_flags, VMBUS_ICMSG_F_TRANSACTION | VMBUS_ICMSG_F_RESPONSE);
	return (im.im_status);
}

static inline uint32_t
reply(void)
{
	return (reply_to(last_xactid, WAIT_MS));
}

static inline uint32_t
no_reply(void)
{
	return (reply_to(last_xactid, NOTHING_MS));
}

/*
 * Clients.
 */

static inline int
try_open(struct client *c, const char *dev, const char *name, uid_t uid)
{
	static _Atomic pid_t pid = 100;
	int error;

	memset(c, 0, sizeof(*c));
	c->c_td = kpi_thread(name, ++pid, uid);
	error = kpi_open(c->c_td, dev, &c->c_file);
	if (error != 0)
		kpi_thread_free(c->c_td);
	return (error);
}

static inline int
readable(struct client *c, int ms)
{
	return (kpi_poll(c->c_file, POLLIN, ms));
}

/* Opens, and takes part. */
static inline void
client_open(struct client *c, const char *dev, const char *name)
{
	assert_int_equal(try_open(c, dev, name, 0), 0);
	assert_int_equal(readable(c, 0), 0);
}

static inline void
client_close(struct client *c)
{
	kpi_close(c->c_file);
	kpi_thread_free(c->c_td);
	memset(c, 0, sizeof(*c));
}

static const char *closing_node;
static _Atomic bool close_begun, unloaded, left_behind;

/* A last close that takes its time until its device is gone, and some more. */
static inline void
close_slowly(void)
{
	close_begun = true;
	while (kpi_cdev_exists(closing_node))
		usleep(1000);
	usleep(NOTHING_MS * 1000);
	left_behind = unloaded;
}

static inline void *
close_one(void *arg)
{
	client_close(arg);
	return (NULL);
}

/* begin_close, unload, end_close: whether the unload left the close behind. */
static inline pthread_t
begin_close(struct client *c, const char *node)
{
	pthread_t t;

	close_begun = unloaded = left_behind = false;
	closing_node = node;
	kpi_closing(close_slowly);
	pthread_create(&t, NULL, close_one, c);
	while (!close_begun)
		usleep(1000);
	return (t);
}

static inline bool
end_close(pthread_t t)
{
	unloaded = true;
	pthread_join(t, NULL);
	kpi_closing(NULL);
	return (left_behind);
}

/* READ: the operation, HV_VSS_NONE when nothing waits. */
static inline uint32_t
read_op(struct client *c)
{
	memset(&c->c_msg, 0xa5, sizeof(c->c_msg));
	assert_int_equal(kpi_ioctl(c->c_file, IOCHVVSSREAD, &c->c_msg), 0);
	if (c->c_msg.opt == HV_VSS_NONE) {
		assert_int_equal(c->c_msg.status, VSS_FAIL);
		assert_int_equal(c->c_msg.msgid, 0);
	} else
		assert_int_equal(c->c_msg.status, VSS_SUCCESS);
	return (c->c_msg.opt);
}

static inline int
answer(struct client *c, uint32_t status)
{
	struct hv_vss_opt_msg msg = c->c_msg;

	msg.status = status;
	return (kpi_ioctl(c->c_file, IOCHVVSSWRITE, &msg));
}

/* Waits for this operation and answers it. */
static inline void
serve(struct client *c, uint32_t op, uint32_t status)
{
	assert_int_equal(readable(c, WAIT_MS), POLLIN);
	assert_int_equal(read_op(c), op);
	assert_int_equal(answer(c, status), 0);
}

static inline const char *
state_is(void)
{
	static char text[64];

	assert_int_equal(kpi_sysctl_get(vdev, "state", text, sizeof(text)), 0);
	return (text);
}

/* What most cases begin and end with. */
static struct client fs, app;

static inline int
with_clients(void **state)
{
	machine_up(state);
	client_open(&fs, FS, "hv_vss_daemon");
	client_open(&app, APP, "database");
	return (0);
}

static inline int
close_all(void **state)
{
	if (fs.c_file != NULL)
		client_close(&fs);
	if (app.c_file != NULL)
		client_close(&app);
	return (machine_down(state));
}

#define CASE(name) \
	cmocka_unit_test_setup_teardown(name, with_clients, close_all)

/* From idle to hold, with a daemon and one application. */
static inline void
freeze(void)
{
	ask(VSS_WIRE_FREEZE);
	serve(&app, HV_VSS_FREEZE, VSS_SUCCESS);
	serve(&fs, HV_VSS_FREEZE, VSS_SUCCESS);
	assert_int_equal(reply(), VMBUS_ICMSG_S_OK);
}

/* And back. */
static inline void
thaw(void)
{
	ask(VSS_WIRE_THAW);
	serve(&fs, HV_VSS_THAW, VSS_SUCCESS);
	serve(&app, HV_VSS_THAW, VSS_SUCCESS);
	assert_int_equal(reply(), VMBUS_ICMSG_S_OK);
}

#endif /* _KPI_FIXTURE_H_ */
