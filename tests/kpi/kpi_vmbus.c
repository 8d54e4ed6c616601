/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The kernel's stand-in: vmbus(4), whose other end is the emulator's ring.
 *
 * The guest's half does what 13.2's does, its weak places included: it believes
 * the host's indices, and answers EAGAIN when there is less than was asked for.
 */

#include <time.h>

#include "kpi_test.h"
#include "ring.h"

struct vmbus_channel {
	uint8_t ch_guid[16];
	int ch_fail_open;
	_Atomic bool ch_revoked;
	bool ch_open;
	const void *ch_first; /* what the host sends at once; NULL: nothing */
	uint32_t ch_first_len;
	uint8_t *ch_mem;
	uint32_t ch_txlen;
	uint32_t ch_rxlen;
	uint8_t *ch_rxctl;
	struct vmbus_ring ch_tx; /* the guest's */
	struct vmbus_ring ch_host_tx;
	struct vmbus_ring ch_host_rx;
	vmbus_chan_callback_t ch_cb;
	void *ch_cbarg;
	struct taskqueue *ch_tq;
	struct task ch_task;
	pthread_mutex_t ch_lock;
	pthread_cond_t ch_cond; /* the guest signalled */
};

struct vmbus_channel *
kpi_chan_new(const uint8_t guid[16])
{
	struct vmbus_channel *chan = (calloc)(1, sizeof(*chan));

	if (chan == NULL)
		kpi_panic("no memory");
	memcpy(chan->ch_guid, guid, sizeof(chan->ch_guid));
	pthread_mutex_init(&chan->ch_lock, NULL);
	pthread_cond_init(&chan->ch_cond, NULL);
	return (chan);
}

void
kpi_chan_free(struct vmbus_channel *chan)
{
	if (chan->ch_open)
		kpi_panic("the channel is open");
	pthread_mutex_destroy(&chan->ch_lock);
	pthread_cond_destroy(&chan->ch_cond);
	(free)(chan);
}

const uint8_t *
kpi_chan_guid(const struct vmbus_channel *chan)
{
	return (chan->ch_guid);
}

void
kpi_chan_revoke(struct vmbus_channel *chan)
{
	chan->ch_revoked = true;
}

void
kpi_chan_fail_open(struct vmbus_channel *chan, int error)
{
	chan->ch_fail_open = error;
}

void
kpi_chan_send_first(struct vmbus_channel *chan, const void *pkt, uint32_t len)
{
	chan->ch_first = pkt;
	chan->ch_first_len = len;
}

bool
kpi_chan_is_open(const struct vmbus_channel *chan)
{
	return (chan->ch_open);
}

static void
kpi_chan_task(void *arg, int pending __unused)
{
	struct vmbus_channel *chan = arg;

	chan->ch_cb(chan, chan->ch_cbarg);
}

int
vmbus_chan_open(struct vmbus_channel *chan, int txbr_size, int rxbr_size,
    const void *udata __unused, int udlen __unused, vmbus_chan_callback_t cb,
    void *cbarg)
{
	kpi_may_sleep("vmbus_chan_open");
	if (chan->ch_fail_open != 0)
		return (chan->ch_fail_open);
	chan->ch_txlen = (uint32_t)txbr_size;
	chan->ch_rxlen = (uint32_t)rxbr_size;
	chan->ch_mem = aligned_alloc(
	    PAGE_SIZE, (size_t)txbr_size + (size_t)rxbr_size);
	if (chan->ch_mem == NULL)
		return (ENOMEM);
	memset(chan->ch_mem, 0, (size_t)txbr_size + (size_t)rxbr_size);
	chan->ch_rxctl = chan->ch_mem + txbr_size;
	if (vmbus_ring_init_tx(&chan->ch_tx, chan->ch_mem, chan->ch_txlen) !=
		0 ||
	    vmbus_ring_init_rx(
		&chan->ch_host_rx, chan->ch_mem, chan->ch_txlen) != 0 ||
	    vmbus_ring_init_tx(
		&chan->ch_host_tx, chan->ch_rxctl, chan->ch_rxlen) != 0)
		kpi_panic("rings of an impossible size");
	chan->ch_cb = cb;
	chan->ch_cbarg = cbarg;
	TASK_INIT(&chan->ch_task, 0, kpi_chan_task, chan);
	chan->ch_tq = taskqueue_create("vmbus", M_WAITOK, NULL, NULL);
	taskqueue_start_threads(&chan->ch_tq, 1, PWAIT, "vmbus");
	chan->ch_open = true;
	if (chan->ch_first != NULL) {
		kpi_host_send(chan, VMBUS_RING_INBAND, 1, chan->ch_first,
		    chan->ch_first_len);
		kpi_host_settle(chan);
	}
	return (0);
}

void
vmbus_chan_close(struct vmbus_channel *chan)
{
	kpi_may_sleep("vmbus_chan_close");
	if (!chan->ch_open)
		return;
	taskqueue_drain(chan->ch_tq, &chan->ch_task);
	taskqueue_free(chan->ch_tq);
	chan->ch_open = false;
	(free)(chan->ch_mem);
	chan->ch_mem = NULL;
}

void
vmbus_chan_set_readbatch(struct vmbus_channel *chan __unused, bool on)
{
	if (on)
		kpi_panic("batched reading is not what an IC driver does");
}

bool
vmbus_chan_is_revoked(const struct vmbus_channel *chan)
{
	return (chan->ch_revoked);
}

/*
 * The guest's reader.
 */

static uint32_t
kpi_rx_index(const struct vmbus_channel *chan, uint32_t off)
{
	return (vss_port_load32(chan->ch_rxctl + off));
}

uint32_t
vmbus_chan_read_available(struct vmbus_channel *chan)
{
	uint32_t size = chan->ch_rxlen - VMBUS_RING_PAGE;
	uint32_t out = kpi_rx_index(chan, VMBUS_RING_O_OUT);
	uint32_t in = kpi_rx_index(chan, VMBUS_RING_O_IN);
	uint32_t room;

	room = in >= out ? size - (in - out) : out - in;
	return (size - room);
}

int
vmbus_chan_recv_peek(
    struct vmbus_channel *chan, void *data, int len, uint32_t advance)
{
	const uint8_t *ring = chan->ch_rxctl + VMBUS_RING_PAGE;
	uint32_t size = chan->ch_rxlen - VMBUS_RING_PAGE;
	uint32_t first, n = (uint32_t)len;
	uint32_t out = kpi_rx_index(chan, VMBUS_RING_O_OUT);

	if (advance != 0)
		kpi_panic("vmbus_chan_recv_peek: not used so");
	if (vmbus_chan_read_available(chan) < n + VMBUS_RING_PKT_TAIL)
		return (EAGAIN);
	first = n > size - out ? size - out : n;
	memcpy(data, ring + out, first);
	memcpy((uint8_t *)data + first, ring, n - first);
	return (0);
}

int
vmbus_chan_recv_idxadv(struct vmbus_channel *chan, uint32_t advance)
{
	uint32_t size = chan->ch_rxlen - VMBUS_RING_PAGE;
	uint32_t out = kpi_rx_index(chan, VMBUS_RING_O_OUT);

	if (vmbus_chan_read_available(chan) < advance + VMBUS_RING_PKT_TAIL)
		return (EAGAIN);
	out += advance + VMBUS_RING_PKT_TAIL;
	vss_port_store32(
	    chan->ch_rxctl + VMBUS_RING_O_OUT, out >= size ? out - size : out);
	return (0);
}

int
vmbus_chan_send(struct vmbus_channel *chan, uint16_t type,
    uint16_t flags __unused, void *data, int dlen, uint64_t xactid)
{
	struct vmbus_ring_pkt rp;
	bool signal = false;
	int error;

	memset(&rp, 0, sizeof(rp));
	rp.rp_type = type;
	rp.rp_xactid = xactid;
	rp.rp_len = (uint32_t)dlen;
	error = vmbus_ring_send(&chan->ch_tx, &rp, data, &signal);
	if (error == EMSGSIZE)
		kpi_panic("vmbus_chan_send: invalid packet size %d", dlen);
	/* The kernel's does not ask the host to tell when there is room. */
	if (error == EAGAIN) {
		chan->ch_tx.vr_waiting = false;
		vss_port_store32(chan->ch_mem + VMBUS_RING_O_PENDING, 0);
	}
	pthread_mutex_lock(&chan->ch_lock);
	pthread_cond_broadcast(&chan->ch_cond);
	pthread_mutex_unlock(&chan->ch_lock);
	return (error);
}

/*
 * The host.
 */

void
kpi_host_signal(struct vmbus_channel *chan)
{
	taskqueue_enqueue(chan->ch_tq, &chan->ch_task);
}

void
kpi_host_settle(struct vmbus_channel *chan)
{
	taskqueue_drain(chan->ch_tq, &chan->ch_task);
}

int
kpi_host_send(struct vmbus_channel *chan, uint16_t type, uint64_t xactid,
    const void *pkt, uint32_t len)
{
	struct vmbus_ring_pkt rp;
	bool signal = false;
	int error;

	memset(&rp, 0, sizeof(rp));
	rp.rp_type = type;
	rp.rp_xactid = xactid;
	rp.rp_len = len;
	error = vmbus_ring_send(&chan->ch_host_tx, &rp, pkt, &signal);
	if (signal)
		kpi_host_signal(chan);
	return (error);
}

int
kpi_host_recv(struct vmbus_channel *chan, uint64_t *xactid, void *buf,
    uint32_t *len, int ms)
{
	struct vmbus_ring_pkt rp;
	struct timespec until;
	bool signal = false;
	int error, waited = 0;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += ms % 1000 * 1000000L;
	until.tv_sec += until.tv_nsec / 1000000000L;
	until.tv_nsec %= 1000000000L;
	pthread_mutex_lock(&chan->ch_lock);
	for (;;) {
		error = vmbus_ring_recv(
		    &chan->ch_host_rx, &rp, buf, *len, &signal);
		if (error != EAGAIN || waited != 0)
			break;
		waited = pthread_cond_timedwait(
		    &chan->ch_cond, &chan->ch_lock, &until);
	}
	pthread_mutex_unlock(&chan->ch_lock);
	if (error == 0) {
		*xactid = rp.rp_xactid;
		*len = rp.rp_len;
	}
	if (signal)
		kpi_host_signal(chan);
	return (error);
}

uint8_t *
kpi_host_ring(struct vmbus_channel *chan, uint32_t *len)
{
	*len = chan->ch_rxlen;
	return (chan->ch_rxctl);
}
