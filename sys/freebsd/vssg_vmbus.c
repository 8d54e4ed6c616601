/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The transport on Hyper-V: a channel of vmbus(4), whose rings the kernel owns.
 *
 * vmbus_chan_recv() believes the lengths that the host writes (it asserts that
 * they fit), so packets are looked at here: the descriptor is copied out once,
 * checked against what the ring holds, and not read again.
 *
 * Nobody sleeps here but attach and detach.  The channel's callback comes from
 * a taskqueue of vmbus(4) and takes vs_mtx; detach therefore does not hold it
 * while it closes the channel, which waits for the callback.
 */

#include "vssg_var.h"

#include <dev/hyperv/include/hyperv.h>
#include <dev/hyperv/include/vmbus.h>

#include "ring.h"

#include "vmbus_if.h"

/* The largest packet fits twice. */
#define VSSG_RING_LEN (8 * PAGE_SIZE)

#define VSSG_PKT_HDR  ((uint32_t)sizeof(struct vmbus_chanpkt_hdr))
#define VSSG_PKT_MAX  (VSSG_PKT_HDR + VMBUS_ICMSG_PKT_MAX)

/* Room for a packet with its descriptor; vs_mtx covers it. */
static uint8_t vssg_vmbus_pkt[VSSG_PKT_MAX] __aligned(8);

static const struct hyperv_guid vssg_vmbus_guid = {
	.hv_guid = { 0x29, 0x2e, 0xfa, 0x35, 0x23, 0xea, 0x36, 0x42, 0x96, 0xae,
	    0x3a, 0x6e, 0xba, 0xcb, 0xa4, 0x40 },
};

/* 0, EAGAIN, or EIO for what no honest host writes. */
static int
vssg_vmbus_desc(struct vmbus_channel *chan, struct vmbus_chanpkt_hdr *ph)
{
	uint32_t avail, total;

	avail = vmbus_chan_read_available(chan);
	if (avail == 0)
		return (EAGAIN);
	if (avail > VSSG_RING_LEN ||
	    avail < VSSG_PKT_HDR + VMBUS_RING_PKT_TAIL ||
	    vmbus_chan_recv_peek(chan, ph, (int)VSSG_PKT_HDR, 0) != 0)
		return (EIO);
	total = (uint32_t)VMBUS_CHANPKT_GETLEN(ph->cph_tlen);
	if (ph->cph_hlen < VSSG_PKT_HDR >> VMBUS_CHANPKT_SIZE_SHIFT ||
	    ph->cph_hlen > ph->cph_tlen || total + VMBUS_RING_PKT_TAIL > avail)
		return (EIO);
	return (0);
}

static int
vssg_vmbus_recv(void *arg, uint8_t *buf, uint32_t *len, uint64_t *xactid)
{
	struct vmbus_channel *chan = arg;
	struct vmbus_chanpkt_hdr ph;
	uint32_t hlen, total;
	int error;

	error = vssg_vmbus_desc(chan, &ph);
	if (error != 0)
		return (error);
	hlen = (uint32_t)VMBUS_CHANPKT_GETLEN(ph.cph_hlen);
	total = (uint32_t)VMBUS_CHANPKT_GETLEN(ph.cph_tlen);
	*len = total - hlen;
	*xactid = ph.cph_xactid;
	/* Packets that are not in-band carry no IC messages. */
	if (ph.cph_type != VMBUS_CHANPKT_TYPE_INBAND ||
	    total > sizeof(vssg_vmbus_pkt) || *len > VMBUS_ICMSG_PKT_MAX)
		return (
		    vmbus_chan_recv_idxadv(chan, total) != 0 ? EIO : ENOBUFS);
	if (vmbus_chan_recv_peek(chan, vssg_vmbus_pkt, (int)total, 0) != 0)
		return (EIO);
	memcpy(buf, vssg_vmbus_pkt + hlen, *len);
	return (vmbus_chan_recv_idxadv(chan, total) != 0 ? EIO : 0);
}

static int
vssg_vmbus_send(void *arg, const uint8_t *pkt, uint32_t len, uint64_t xactid)
{
	return (vmbus_chan_send(arg, VMBUS_CHANPKT_TYPE_INBAND, 0,
	    __DECONST(uint8_t *, pkt), (int)len, xactid));
}

static const struct vssg_transport vssg_vmbus = {
	.vt_recv = vssg_vmbus_recv,
	.vt_send = vssg_vmbus_send,
};

static void
vssg_vmbus_intr(struct vmbus_channel *chan __unused, void *arg)
{
	vssg_service(arg);
}

static int
vssg_vmbus_probe(device_t dev)
{
	if (resource_disabled(VSSG_NAME, 0) ||
	    VMBUS_PROBE_GUID(device_get_parent(dev), dev, &vssg_vmbus_guid) !=
		0)
		return (ENXIO);
	device_set_desc(dev, "Hyper-V VSS guest service");
	/* Before the base system's driver, where that has no device yet. */
	return (BUS_PROBE_VENDOR);
}

static int
vssg_vmbus_attach(device_t dev)
{
	struct vmbus_channel *chan = vmbus_get_channel(dev);
	struct vssg *vs = &vssg;
	int error;

	error = vssg_attach(vs, dev, &vssg_vmbus, chan);
	if (error != 0)
		return (error);
	/* One signal for each packet that ends emptiness, as IC drivers do. */
	vmbus_chan_set_readbatch(chan, false);
	error = vmbus_chan_open(
	    chan, VSSG_RING_LEN, VSSG_RING_LEN, NULL, 0, vssg_vmbus_intr, vs);
	if (error != 0) {
		device_printf(
		    dev, "the channel cannot be opened: error %d\n", error);
		vssg_detach(vs, dev, vmbus_chan_is_revoked(chan));
		return (error);
	}
	if (devclass_find(VSSG_BASE) != NULL &&
	    !resource_disabled(VSSG_BASE, 0))
		device_printf(dev,
		    "has the channel in place of the base system's driver; "
		    "hint." VSSG_BASE ".0.disabled=1 says so for good\n");
	vssg_channel_up(vs);
	return (0);
}

/*
 * A revoked channel: the clients stay, and are there for the next one.  Any
 * other detach is an administrator's will, so the character devices go as well.
 */
static int
vssg_vmbus_detach(device_t dev)
{
	struct vmbus_channel *chan = vmbus_get_channel(dev);
	struct vssg *vs = &vssg;

	vssg_channel_down(vs);
	vmbus_chan_close(chan);
	vssg_detach(vs, dev, vmbus_chan_is_revoked(chan));
	return (0);
}

static int
vssg_vmbus_quiesce(device_t dev __unused)
{
	return (vssg_quiesce(&vssg));
}

static int
vssg_vmbus_resume(device_t dev __unused)
{
	vssg_resumed(&vssg);
	return (0);
}

static device_method_t vssg_vmbus_methods[] = { DEVMETHOD(device_probe,
						    vssg_vmbus_probe),
	DEVMETHOD(device_attach, vssg_vmbus_attach),
	DEVMETHOD(device_detach, vssg_vmbus_detach),
	DEVMETHOD(device_quiesce, vssg_vmbus_quiesce),
	DEVMETHOD(device_resume, vssg_vmbus_resume), DEVMETHOD_END };

static driver_t vssg_vmbus_driver = {
	VSSG_NAME, vssg_vmbus_methods,
	1, /* The state is not the device's: it outlives the channel. */
};

DRIVER_MODULE(hv_vss_guest, vmbus, vssg_vmbus_driver, vssg_modevent, NULL);
MODULE_VERSION(hv_vss_guest, 1);
MODULE_DEPEND(hv_vss_guest, vmbus, 1, 1, 1);
