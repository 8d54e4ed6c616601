/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The transport of test builds (hv_vss_loop.h): both ends of a channel's two
 * rings in this module, the host's behind a character device.  What crosses
 * them are the ring's own packets.
 *
 * The device is a child of nexus(4), so that it attaches, detaches and has its
 * sysctl as on Hyper-V.  vs_mtx covers the rings; signals to the guest go
 * through a taskqueue, as vmbus(4)'s do.
 */

#include "vssg_var.h"

#include <sys/poll.h>
#include <sys/uio.h>

#include "hv_vss_loop.h"
#include "ring.h"

#define LOOP_RING_LEN (5 * VMBUS_RING_PAGE)

static MALLOC_DEFINE(M_VSSGLOOP, "hvvssgloop", "hv_vss_guest loop transport");

static d_open_t vssg_loop_open;
static d_read_t vssg_loop_read;
static d_write_t vssg_loop_write;
static d_poll_t vssg_loop_poll;

static struct cdevsw vssg_loop_cdevsw = {
	.d_version = D_VERSION,
	.d_open = vssg_loop_open,
	.d_read = vssg_loop_read,
	.d_write = vssg_loop_write,
	.d_poll = vssg_loop_poll,
	.d_name = HV_VSS_LOOP_NAME,
};

static struct vssg_loop {
	struct cdev *lp_cdev;
	struct task lp_task;
	struct selinfo lp_sel;
	bool lp_open;
	bool lp_going;
	struct vmbus_ring lp_host_tx;
	struct vmbus_ring lp_host_rx;
	struct vmbus_ring lp_guest_tx;
	struct vmbus_ring lp_guest_rx;
	uint8_t lp_down[LOOP_RING_LEN] __aligned(8); /* host to guest */
	uint8_t lp_up[LOOP_RING_LEN] __aligned(8);
} vssg_loop;

/* The guest's signal reaches the host. */
static void
vssg_loop_signal_host(struct vssg_loop *lp)
{
	selwakeup(&lp->lp_sel);
}

static void
vssg_loop_intr(void *arg, int pending __unused)
{
	vssg_service(arg);
}

static int
vssg_loop_recv(void *arg, uint8_t *buf, uint32_t *len, uint64_t *xactid)
{
	struct vssg_loop *lp = arg;
	struct vmbus_ring_pkt rp;
	bool signal = false;
	int error;

	error = vmbus_ring_recv(
	    &lp->lp_guest_rx, &rp, buf, VMBUS_ICMSG_PKT_MAX, &signal);
	/* The host's end here sends no packets but in-band ones. */
	if (error == 0 || error == ENOBUFS) {
		*len = rp.rp_len;
		*xactid = rp.rp_xactid;
	}
	if (signal)
		vssg_loop_signal_host(lp);
	return (error);
}

static int
vssg_loop_send(void *arg, const uint8_t *pkt, uint32_t len, uint64_t xactid)
{
	struct vssg_loop *lp = arg;
	struct vmbus_ring_pkt rp;
	bool signal = false;
	int error;

	memset(&rp, 0, sizeof(rp));
	rp.rp_type = VMBUS_RING_INBAND;
	rp.rp_xactid = xactid;
	rp.rp_len = len;
	error = vmbus_ring_send(&lp->lp_guest_tx, &rp, pkt, &signal);
	if (signal)
		vssg_loop_signal_host(lp);
	return (error);
}

static const struct vssg_transport vssg_loop_transport = {
	.vt_recv = vssg_loop_recv,
	.vt_send = vssg_loop_send,
};

static void
vssg_loop_close(void *arg)
{
	struct vssg_loop *lp = arg;
	struct vssg *vs = &vssg;

	vssg_channel_down(vs);
	seldrain(&lp->lp_sel);
	mtx_lock(&vs->vs_mtx);
	lp->lp_open = false;
	mtx_unlock(&vs->vs_mtx);
}

static int
vssg_loop_rings(struct vssg_loop *lp)
{
	memset(lp->lp_down, 0, sizeof(lp->lp_down));
	memset(lp->lp_up, 0, sizeof(lp->lp_up));
	if (vmbus_ring_init_tx(&lp->lp_host_tx, lp->lp_down, LOOP_RING_LEN) !=
		0 ||
	    vmbus_ring_init_rx(&lp->lp_guest_rx, lp->lp_down, LOOP_RING_LEN) !=
		0 ||
	    vmbus_ring_init_tx(&lp->lp_guest_tx, lp->lp_up, LOOP_RING_LEN) !=
		0 ||
	    vmbus_ring_init_rx(&lp->lp_host_rx, lp->lp_up, LOOP_RING_LEN) != 0)
		return (ENXIO);
	return (0);
}

static int
vssg_loop_open(struct cdev *dev __unused, int oflags __unused,
    int type __unused, struct thread *td __unused)
{
	struct vssg_loop *lp = &vssg_loop;
	struct vssg *vs = &vssg;
	int error;

	mtx_lock(&vs->vs_mtx);
	error = lp->lp_open ? EBUSY : lp->lp_going ? ENXIO : 0;
	if (error == 0)
		error = vssg_loop_rings(lp);
	if (error == 0)
		lp->lp_open = true;
	mtx_unlock(&vs->vs_mtx);
	if (error != 0)
		return (error);
	error = devfs_set_cdevpriv(lp, vssg_loop_close);
	if (error != 0)
		vssg_loop_close(lp);
	else
		vssg_channel_up(vs);
	return (error);
}

static int
vssg_loop_read(struct cdev *dev __unused, struct uio *uio, int flag __unused)
{
	struct vssg_loop *lp = &vssg_loop;
	struct vssg *vs = &vssg;
	struct vmbus_ring_pkt rp;
	struct hv_vss_loop hl;
	bool signal = false;
	uint8_t *buf;
	int error;

	if (uio->uio_resid < (ssize_t)HV_VSS_LOOP_MAX)
		return (EINVAL);
	buf = malloc(HV_VSS_LOOP_PAYLOAD, M_VSSGLOOP, M_WAITOK);
	mtx_lock(&vs->vs_mtx);
	error = lp->lp_going ? ENXIO :
			       vmbus_ring_recv(&lp->lp_host_rx, &rp, buf,
				   HV_VSS_LOOP_PAYLOAD, &signal);
	mtx_unlock(&vs->vs_mtx);
	if (signal)
		taskqueue_enqueue(vs->vs_tq, &lp->lp_task);
	if (error == 0) {
		memset(&hl, 0, sizeof(hl));
		hl.hl_xactid = rp.rp_xactid;
		hl.hl_len = rp.rp_len;
		error = uiomove(&hl, sizeof(hl), uio);
	}
	if (error == 0)
		error = uiomove(buf, (int)hl.hl_len, uio);
	free(buf, M_VSSGLOOP);
	return (error);
}

static int
vssg_loop_write(struct cdev *dev __unused, struct uio *uio, int flag __unused)
{
	struct vssg_loop *lp = &vssg_loop;
	struct vssg *vs = &vssg;
	struct vmbus_ring_pkt rp;
	struct hv_vss_loop hl;
	bool signal = false;
	uint8_t *buf;
	int error;

	if (uio->uio_resid < (ssize_t)sizeof(hl))
		return (EINVAL);
	error = uiomove(&hl, sizeof(hl), uio);
	if (error != 0)
		return (error);
	if (hl.hl_len > HV_VSS_LOOP_PAYLOAD ||
	    (ssize_t)hl.hl_len != uio->uio_resid)
		return (EINVAL);
	memset(&rp, 0, sizeof(rp));
	rp.rp_type = VMBUS_RING_INBAND;
	rp.rp_xactid = hl.hl_xactid;
	rp.rp_len = hl.hl_len;
	buf = malloc(HV_VSS_LOOP_PAYLOAD, M_VSSGLOOP, M_WAITOK);
	error = uiomove(buf, (int)hl.hl_len, uio);
	if (error == 0) {
		mtx_lock(&vs->vs_mtx);
		error = lp->lp_going ?
		    ENXIO :
		    vmbus_ring_send(&lp->lp_host_tx, &rp, buf, &signal);
		mtx_unlock(&vs->vs_mtx);
	}
	free(buf, M_VSSGLOOP);
	if (signal)
		taskqueue_enqueue(vs->vs_tq, &lp->lp_task);
	return (error);
}

static int
vssg_loop_poll(struct cdev *dev __unused, int events, struct thread *td)
{
	struct vssg_loop *lp = &vssg_loop;
	struct vssg *vs = &vssg;
	int revents;

	mtx_lock(&vs->vs_mtx);
	revents = events & (POLLOUT | POLLWRNORM);
	if (lp->lp_going)
		revents = POLLHUP;
	else if (vmbus_ring_readable(&lp->lp_host_rx))
		revents |= events & (POLLIN | POLLRDNORM);
	if (revents == 0)
		selrecord(td, &lp->lp_sel);
	mtx_unlock(&vs->vs_mtx);
	return (revents);
}

/*
 * The device stays when the module goes, and is found when it is loaded anew:
 * nexus(4) does not free what it keeps for a child.
 */
static void
vssg_loop_identify(driver_t *driver __unused, device_t parent)
{
	if (device_find_child(parent, VSSG_NAME, -1) == NULL)
		BUS_ADD_CHILD(parent, 0, VSSG_NAME, -1);
}

static int
vssg_loop_probe(device_t dev)
{
	device_set_desc(dev, "Hyper-V VSS guest service, loop transport");
	return (BUS_PROBE_NOWILDCARD);
}

static int
vssg_loop_attach(device_t dev)
{
	struct vssg_loop *lp = &vssg_loop;
	struct vssg *vs = &vssg;
	struct make_dev_args args;
	int error;

	error = vssg_attach(vs, dev, &vssg_loop_transport, lp);
	if (error != 0)
		return (error);
	TASK_INIT(&lp->lp_task, 0, vssg_loop_intr, vs);
	lp->lp_going = false;
	make_dev_args_init(&args);
	args.mda_flags = MAKEDEV_CHECKNAME | MAKEDEV_WAITOK;
	args.mda_devsw = &vssg_loop_cdevsw;
	args.mda_uid = UID_ROOT;
	args.mda_gid = GID_WHEEL;
	args.mda_mode = 0600;
	error = make_dev_s(&args, &lp->lp_cdev, HV_VSS_LOOP_NAME);
	if (error != 0) {
		device_printf(
		    dev, "/dev/" HV_VSS_LOOP_NAME ": error %d\n", error);
		vssg_detach(vs, dev, false);
	}
	return (error);
}

static bool
vssg_loop_used(struct vssg_loop *lp)
{
	struct vssg *vs = &vssg;
	bool used;

	mtx_lock(&vs->vs_mtx);
	used = lp->lp_open;
	mtx_unlock(&vs->vs_mtx);
	return (used);
}

static int
vssg_loop_detach(device_t dev)
{
	struct vssg_loop *lp = &vssg_loop;
	struct vssg *vs = &vssg;

	mtx_lock(&vs->vs_mtx);
	lp->lp_going = true;
	selwakeup(&lp->lp_sel);
	mtx_unlock(&vs->vs_mtx);
	destroy_dev(lp->lp_cdev);
	/* As in vssg_dev_stop(): a close that has begun. */
	while (vssg_loop_used(lp))
		pause_sbt("vssglp", 10 * SBT_1MS, 0, 0);
	taskqueue_drain(vs->vs_tq, &lp->lp_task);
	vssg_detach(vs, dev, false);
	return (0);
}

static int
vssg_loop_quiesce(device_t dev __unused)
{
	return (vssg_quiesce(&vssg));
}

static int
vssg_loop_resume(device_t dev __unused)
{
	vssg_resumed(&vssg);
	return (0);
}

static device_method_t vssg_loop_methods[] = { DEVMETHOD(device_identify,
						   vssg_loop_identify),
	DEVMETHOD(device_probe, vssg_loop_probe),
	DEVMETHOD(device_attach, vssg_loop_attach),
	DEVMETHOD(device_detach, vssg_loop_detach),
	DEVMETHOD(device_quiesce, vssg_loop_quiesce),
	DEVMETHOD(device_resume, vssg_loop_resume), DEVMETHOD_END };

static driver_t vssg_loop_driver = {
	VSSG_NAME,
	vssg_loop_methods,
	1,
};

DRIVER_MODULE(hv_vss_guest_loop, nexus, vssg_loop_driver, vssg_modevent, NULL);
