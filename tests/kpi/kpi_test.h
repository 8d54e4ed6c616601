/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * What tests do with the stand-in: be the user, the bus, the host, the time.
 */

#ifndef _KPI_TEST_H_
#define _KPI_TEST_H_

#include "kpi.h"

/* kpi_sync.c.  Panic counts as a failed test: it aborts. */
/* Moves time on and runs, one by one, the callouts that become due. */
void kpi_advance_ms(uint64_t ms);
/* The log so far, and empties it. */
bool kpi_log_has(const char *text);
void kpi_log_clear(void);
/* Bytes that malloc() gave out and free() did not get back. */
size_t kpi_malloced(void);
/* From now on a taskqueue gets no thread, for this reason; 0: again. */
void kpi_taskqueue_fail(int error);
/* Fails the test when this thread holds a mutex: what follows may sleep. */
void kpi_may_sleep(const char *what);

/* kpi_file.c: system calls; each returns 0 or an errno. */
struct kpi_file;
/* A process of this name: what its threads open belongs to it. */
struct thread *kpi_thread(const char *comm, pid_t pid, uid_t uid);
void kpi_thread_free(struct thread *td);
int kpi_open(struct thread *td, const char *name, struct kpi_file **fp);
void kpi_close(struct kpi_file *fp);
/*
 * Called in a last close, when the file is off its device's list and its
 * destructor is about to run: destroy_dev() does not wait for it.
 */
void kpi_closing(void (*fn)(void));
int kpi_ioctl(struct kpi_file *fp, u_long cmd, void *data);
/* Waits at most ms of real time for one of events. */
int kpi_poll(struct kpi_file *fp, int events, int ms);
/* Until somebody sleeps in poll there. */
void kpi_wait_for_sleeper(struct selinfo *sip);
int kpi_read(struct kpi_file *fp, void *buf, size_t *len);
int kpi_write(struct kpi_file *fp, const void *buf, size_t len);
bool kpi_cdev_exists(const char *name);
/* Makes a device that is somebody else's. */
struct cdev *kpi_cdev_foreign(const char *name);
int kpi_cdev_mode(const char *name);

struct kpi_kqueue *kpi_kqueue(void);
void kpi_kqueue_close(struct kpi_kqueue *kq);
/* Called when a knote was taken away and its file is about to be let go. */
void kpi_knote_taken(void (*fn)(void));
int kpi_kevent_add(struct kpi_kqueue *kq, struct kpi_file *fp, short filter);
/* One event, at most ms of real time; 0, or ETIMEDOUT. */
int kpi_kevent(
    struct kpi_kqueue *kq, int ms, unsigned short *flags, int64_t *data);

/* kpi_bus.c */
int kpi_module_load(void);
/* EBUSY when it is refused and not forced. */
int kpi_module_unload(bool force);
device_t kpi_bus(const char *name);
/* A device appears on the bus: probe and attach; ENXIO: nobody wants it. */
device_t kpi_device_add(device_t bus, void *ivars, int *error);
int kpi_device_detach(device_t dev);
void kpi_device_remove(device_t dev);
int kpi_device_resume(device_t dev);
void kpi_base_driver(bool attached);
void kpi_disable(const char *name);
/* The device has no methods but these by default. */
int kpi_sysctl_get(device_t dev, const char *name, char *text, size_t cap);
uint64_t kpi_sysctl_u64(device_t dev, const char *name);
int kpi_sysctl_set(device_t dev, const char *name, unsigned value);
/* What loader.conf sets. */
void kpi_env_set(const char *name, unsigned int value);
void kpi_env_clear(void);

/* kpi_vmbus.c: the host's end. */
struct vmbus_channel *kpi_chan_new(const uint8_t guid[16]);
void kpi_chan_free(struct vmbus_channel *chan);
const uint8_t *kpi_chan_guid(const struct vmbus_channel *chan);
void kpi_chan_revoke(struct vmbus_channel *chan);
void kpi_chan_fail_open(struct vmbus_channel *chan, int error);
/* The host's packet is there, and was signalled, before the open returns. */
void kpi_chan_send_first(
    struct vmbus_channel *chan, const void *pkt, uint32_t len);
bool kpi_chan_is_open(const struct vmbus_channel *chan);
int kpi_host_send(struct vmbus_channel *chan, uint16_t type, uint64_t xactid,
    const void *pkt, uint32_t len);
/* Waits at most ms of real time for a packet of the guest. */
int kpi_host_recv(struct vmbus_channel *chan, uint64_t *xactid, void *buf,
    uint32_t *len, int ms);
/* The control page and data of the ring to the guest, to be spoilt. */
uint8_t *kpi_host_ring(struct vmbus_channel *chan, uint32_t *len);
void kpi_host_signal(struct vmbus_channel *chan);
/* Until the guest has looked at everything that was signalled. */
void kpi_host_settle(struct vmbus_channel *chan);
void kpi_taskqueues_settle(void);

#endif /* _KPI_TEST_H_ */
