/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * A stand-in, in user space, for the interfaces of the FreeBSD kernel that
 * sys/freebsd uses and for no others.  The headers of the kernel's names below
 * tests/kpi/include lead here.
 *
 * It is strict where the kernel would be: a mutex knows its owner, and whatever
 * may sleep there fails the test when a mutex is held; destroy_dev() waits for
 * the calls that are inside and then runs the destructors; a knote is dropped
 * when its filter cannot be called any more.  Threads are real, time is not:
 * kpi_advance() moves it and runs the callouts.
 */

#ifndef _KPI_H_
#define _KPI_H_

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/queue.h>
#include <sys/types.h>

/* <sys/param.h>, <sys/systm.h> and what they bring along. */
#define __unused	   __attribute__((unused))
#define __aligned(n)	   __attribute__((aligned(n)))
#define __DECONST(type, p) ((type)(uintptr_t)(const void *)(p))
#define nitems(a)	   (sizeof(a) / sizeof((a)[0]))
#ifndef PAGE_SIZE
#define PAGE_SIZE 4096
#endif

void kpi_printf(const char *fmt, ...) __attribute__((format(__printf__, 1, 2)));
void kpi_log(int level, const char *fmt, ...)
    __attribute__((format(__printf__, 2, 3)));
void kpi_panic(const char *fmt, ...)
    __attribute__((format(__printf__, 1, 2), noreturn));
size_t kpi_strlcpy(char *to, const char *from, size_t cap);
#define printf	kpi_printf
#define log	kpi_log
#define panic	kpi_panic
#define strlcpy kpi_strlcpy
#define KASSERT(e, msg)                \
	do {                           \
		if (!(e))              \
			kpi_panic msg; \
	} while (0)

#define LOG_ERR	    3
#define LOG_WARNING 4
#define LOG_NOTICE  5

/* <sys/malloc.h> */
struct malloc_type {
	const char *ks_name;
};
#define M_WAITOK 0x0002
#define MALLOC_DEFINE(type, name, desc) \
	struct malloc_type type[1] = { { name } }
void *kpi_malloc(size_t len, struct malloc_type *type, int flags);
void kpi_free(void *p, struct malloc_type *type);
#define malloc(len, type, flags) kpi_malloc(len, type, flags)
#define free(p, type)		 kpi_free(p, type)

/* <sys/mutex.h> */
struct mtx {
	pthread_mutex_t m_lock;
	pthread_t m_owner;
	_Atomic bool m_owned;
};
#define MTX_DEF	 0
#define MA_OWNED 1
void mtx_init(struct mtx *m, const char *name, const char *type, int opts);
void mtx_lock(struct mtx *m);
void mtx_unlock(struct mtx *m);
void mtx_assert(const struct mtx *m, int what);
#define MTX_SYSINIT(name, m, desc, opts)                              \
	static void __attribute__((constructor)) kpi_mtx_##name(void) \
	{                                                             \
		mtx_init(m, desc, NULL, opts);                        \
	}                                                             \
	struct kpi_semicolon

/* <sys/time.h>, <sys/callout.h> */
typedef int64_t sbintime_t;
#define SBT_1S	((sbintime_t)1 << 32)
#define SBT_1MS (SBT_1S / 1000)
sbintime_t sbinuptime(void);
sbintime_t nstosbt(int64_t ns);
int64_t sbttons(sbintime_t sbt);
int pause_sbt(const char *wmesg, sbintime_t sbt, sbintime_t pr, int flags);

typedef void callout_func_t(void *);
struct callout {
	LIST_ENTRY(callout) c_link;
	struct mtx *c_mtx;
	callout_func_t *c_func;
	void *c_arg;
	sbintime_t c_time;
	bool c_pending;
	bool c_running;
};
void callout_init_mtx(struct callout *c, struct mtx *m, int flags);
int callout_reset_sbt(struct callout *c, sbintime_t sbt, sbintime_t pr,
    callout_func_t *func, void *arg, int flags);
int callout_stop(struct callout *c);
int callout_drain(struct callout *c);

/* <sys/taskqueue.h> */
typedef void task_fn_t(void *, int);
struct task {
	STAILQ_ENTRY(task) ta_link;
	task_fn_t *ta_func;
	void *ta_context;
	int ta_pending;
};
struct taskqueue;
#define PWAIT 0
#define TASK_INIT(ta, prio, func, context)    \
	do {                                  \
		memset(ta, 0, sizeof(*(ta))); \
		(ta)->ta_func = (func);       \
		(ta)->ta_context = (context); \
	} while (0)
void taskqueue_thread_enqueue(void *context);
struct taskqueue *taskqueue_create(
    const char *name, int mflags, void (*enqueue)(void *), void *context);
int taskqueue_start_threads(
    struct taskqueue **tqp, int n, int pri, const char *name);
int taskqueue_enqueue(struct taskqueue *tq, struct task *ta);
void taskqueue_drain(struct taskqueue *tq, struct task *ta);
void taskqueue_free(struct taskqueue *tq);

/* <sys/proc.h>, <sys/ucred.h> */
struct proc {
	pid_t p_pid;
	char p_comm[20];
};
struct ucred {
	uid_t cr_uid;
};
struct selinfo;
struct thread {
	struct proc *td_proc;
	struct ucred *td_ucred;
	struct kpi_file *td_file; /* whose call is inside */
	bool td_woken;
	struct selinfo *td_sel; /* where it is recorded */
	LIST_ENTRY(thread) td_sellink;
};
struct thread *kpi_curthread(void);
#define curthread kpi_curthread()

/* <sys/file.h> */
struct file {
	unsigned f_count;
};
bool fhold(struct file *fp);
int fdrop(struct file *fp, struct thread *td);

/* <sys/selinfo.h>, <sys/event.h>, <sys/poll.h> */
struct knote;
struct knlist {
	SLIST_HEAD(kpi_knotes, knote) kl_list;
	struct mtx *kl_mtx;
};
struct selinfo {
	LIST_HEAD(kpi_threads, thread) si_tdlist;
	struct knlist si_note;
};
void selrecord(struct thread *td, struct selinfo *sip);
void selwakeup(struct selinfo *sip);
void seldrain(struct selinfo *sip);

struct filterops {
	int f_isfd;
	int (*f_attach)(struct knote *kn);
	void (*f_detach)(struct knote *kn);
	int (*f_event)(struct knote *kn, long hint);
};
struct kpi_kqueue;
struct knote {
	SLIST_ENTRY(knote) kn_selnext;
	TAILQ_ENTRY(knote) kn_link;
	struct knlist *kn_knlist;
	struct kpi_kqueue *kn_kq;
	struct file *kn_fp;
	LIST_ENTRY(knote) kn_filelink;
	short kn_filter;
	unsigned short kn_flags;
	int64_t kn_data;
	struct filterops *kn_fop;
	void *kn_hook;
	bool kn_active;
	bool kn_influx;
};
#define EVFILT_READ  (-1)
#define EVFILT_WRITE (-2)
#define EV_ONESHOT   0x0010
#define EV_EOF	     0x8000
void knlist_init_mtx(struct knlist *knl, struct mtx *lock);
void knlist_add(struct knlist *knl, struct knote *kn, int islocked);
void knlist_remove(struct knlist *knl, struct knote *kn, int islocked);
void knlist_delete(struct knlist *knl, struct thread *td, int islocked);
void knlist_destroy(struct knlist *knl);
void kpi_knote(struct knlist *knl, long hint);
#define KNOTE_LOCKED(knl, hint) kpi_knote(knl, hint)

#define POLLIN			0x0001
#define POLLOUT			0x0004
#define POLLHUP			0x0010
#define POLLRDNORM		0x0040
#define POLLWRNORM		POLLOUT

/* <sys/conf.h>, <sys/uio.h> */
struct kpi_file;
struct cdev {
	LIST_ENTRY(cdev) si_link;
	void *si_drv1;
	struct cdevsw *si_devsw; /* NULL: it was destroyed */
	char si_name[32];
	int si_mode;
	int si_threads; /* inside the driver */
	LIST_HEAD(kpi_files, kpi_file) si_files;
};
enum uio_rw { UIO_READ, UIO_WRITE };
struct uio {
	uint8_t *uio_buf;
	ssize_t uio_resid;
	enum uio_rw uio_rw;
};
int uiomove(void *p, int n, struct uio *uio);

typedef int d_open_t(struct cdev *, int, int, struct thread *);
typedef int d_read_t(struct cdev *, struct uio *, int);
typedef int d_write_t(struct cdev *, struct uio *, int);
typedef int d_ioctl_t(struct cdev *, u_long, caddr_t, int, struct thread *);
typedef int d_poll_t(struct cdev *, int, struct thread *);
typedef int d_kqfilter_t(struct cdev *, struct knote *);
struct cdevsw {
	int d_version;
	const char *d_name;
	d_open_t *d_open;
	d_read_t *d_read;
	d_write_t *d_write;
	d_ioctl_t *d_ioctl;
	d_poll_t *d_poll;
	d_kqfilter_t *d_kqfilter;
};
#define D_VERSION	  0x17122009
#define MAKEDEV_WAITOK	  0x10
#define MAKEDEV_CHECKNAME 0x40
#define UID_ROOT	  0
#define GID_WHEEL	  0
struct make_dev_args {
	int mda_flags;
	struct cdevsw *mda_devsw;
	uid_t mda_uid;
	gid_t mda_gid;
	int mda_mode;
	void *mda_si_drv1;
};
void make_dev_args_init(struct make_dev_args *args);
int make_dev_s(struct make_dev_args *args, struct cdev **cdev, const char *fmt,
    ...) __attribute__((format(__printf__, 3, 4)));
void destroy_dev(struct cdev *dev);
int devfs_set_cdevpriv(void *priv, void (*dtor)(void *));
int devfs_get_cdevpriv(void **priv);

/* <sys/module.h>, <sys/bus.h> */
typedef struct kpi_device *device_t;
typedef struct kpi_devclass *devclass_t;
typedef struct kpi_module *module_t;
typedef void kpi_method_t(void);
typedef struct {
	const char *name;
	kpi_method_t *func;
} device_method_t;
typedef struct {
	const char *name;
	device_method_t *methods;
	size_t size;
} driver_t;
#define DEVMETHOD(name, func)                 \
	{                                     \
#name, (kpi_method_t *)(func) \
	}
#define DEVMETHOD_END      \
	{                  \
		NULL, NULL \
	}
enum { MOD_LOAD, MOD_UNLOAD, MOD_SHUTDOWN, MOD_QUIESCE };
typedef int kpi_modevent_t(module_t, int, void *);
void kpi_driver_module(
    const char *name, const char *bus, driver_t *driver, kpi_modevent_t *evh);
#define DRIVER_MODULE(name, bus, driver, evh, arg)                       \
	static void __attribute__((constructor)) kpi_driver_##name(void) \
	{                                                                \
		kpi_driver_module(#name, #bus, &(driver), evh);          \
	}                                                                \
	struct kpi_semicolon
#define MODULE_VERSION(name, version)		struct kpi_semicolon
#define MODULE_DEPEND(name, on, min, pref, max) struct kpi_semicolon
#define BUS_PROBE_VENDOR			(-10)
#define BUS_PROBE_NOWILDCARD			(-2000000000)

int device_printf(device_t dev, const char *fmt, ...)
    __attribute__((format(__printf__, 2, 3)));
const char *device_get_nameunit(device_t dev);
const char *device_get_name(device_t dev);
int device_get_unit(device_t dev);
/* <sys/systm.h>: 1 if the kernel's environment has it. */
int getenv_uint(const char *name, unsigned int *value);
device_t device_get_parent(device_t dev);
void device_set_desc(device_t dev, const char *desc);
bool device_is_attached(device_t dev);
device_t device_find_child(device_t parent, const char *name, int unit);
device_t kpi_bus_add_child(
    device_t parent, u_int order, const char *name, int unit);
#define BUS_ADD_CHILD kpi_bus_add_child
devclass_t devclass_find(const char *name);
device_t devclass_get_device(devclass_t dc, int unit);
int resource_disabled(const char *name, int unit);

/* <sys/sysctl.h>, <sys/sbuf.h> */
struct sysctl_req {
	char *oldptr;  /* what is read goes there, */
	size_t oldlen; /* as much as this */
	const void *newptr;
};
struct sysctl_oid_list;
struct sysctl_ctx_list;
struct sysctl_oid {
	LIST_ENTRY(sysctl_oid) oid_link;
	struct sysctl_oid_list *oid_tree;
	char oid_name[64]; /* with those above it */
	void *oid_arg1;
	intptr_t oid_arg2;
	int (*oid_handler)(
	    struct sysctl_oid *, void *, intptr_t, struct sysctl_req *);
};
#define SYSCTL_HANDLER_ARGS                                    \
	struct sysctl_oid *oidp __unused, void *arg1 __unused, \
	    intptr_t arg2 __unused, struct sysctl_req *req __unused
#define OID_AUTO       (-1)
#define CTLTYPE_INT    2
#define CTLTYPE_STRING 3
#define CTLTYPE_UINT   6
#define CTLTYPE_U64    9
#define CTLFLAG_RD     0
#define CTLFLAG_RW     0
#define CTLFLAG_MPSAFE 0
#define CTLFLAG_SKIP   0
struct sysctl_ctx_list *device_get_sysctl_ctx(device_t dev);
struct sysctl_oid *device_get_sysctl_tree(device_t dev);
struct sysctl_oid *kpi_sysctl_add(struct sysctl_ctx_list *ctx,
    struct sysctl_oid *parent, const char *name,
    int (*handler)(struct sysctl_oid *, void *, intptr_t, struct sysctl_req *),
    void *arg1, intptr_t arg2);
#define SYSCTL_CHILDREN(oid) ((struct sysctl_oid_list *)(oid))
#define SYSCTL_ADD_PROC(                                      \
    ctx, list, nbr, name, access, a1, a2, handler, fmt, desc) \
	kpi_sysctl_add(ctx, (struct sysctl_oid *)(list), name, handler, a1, a2)
#define SYSCTL_ADD_NODE(ctx, list, nbr, name, access, handler, desc) \
	kpi_sysctl_add(ctx, (struct sysctl_oid *)(list), name, NULL, NULL, 0)
int sysctl_handle_int(SYSCTL_HANDLER_ARGS);
int sysctl_handle_64(SYSCTL_HANDLER_ARGS);
int sysctl_handle_string(SYSCTL_HANDLER_ARGS);
struct sbuf {
	struct sysctl_req *s_req;
};
struct sbuf *sbuf_new_for_sysctl(
    struct sbuf *sb, char *buf, int len, struct sysctl_req *req);
int sbuf_printf(struct sbuf *sb, const char *fmt, ...)
    __attribute__((format(__printf__, 2, 3)));
int sbuf_finish(struct sbuf *sb);
void sbuf_delete(struct sbuf *sb);

/* <dev/hyperv/include/hyperv.h>, vmbus.h; "vmbus_if.h" */
struct hyperv_guid {
	uint8_t hv_guid[16];
};
struct vmbus_chanpkt_hdr {
	uint16_t cph_type;
	uint16_t cph_hlen;
	uint16_t cph_tlen;
	uint16_t cph_flags;
	uint64_t cph_xactid;
};
#define VMBUS_CHANPKT_SIZE_SHIFT  3
#define VMBUS_CHANPKT_GETLEN(n)	  (((int)(n)) << VMBUS_CHANPKT_SIZE_SHIFT)
#define VMBUS_CHANPKT_TYPE_INBAND 0x0006
struct vmbus_channel;
typedef void (*vmbus_chan_callback_t)(struct vmbus_channel *, void *);
struct vmbus_channel *vmbus_get_channel(device_t dev);
int VMBUS_PROBE_GUID(
    device_t bus, device_t dev, const struct hyperv_guid *guid);
int vmbus_chan_open(struct vmbus_channel *chan, int txbr_size, int rxbr_size,
    const void *udata, int udlen, vmbus_chan_callback_t cb, void *cbarg);
void vmbus_chan_close(struct vmbus_channel *chan);
void vmbus_chan_set_readbatch(struct vmbus_channel *chan, bool on);
bool vmbus_chan_is_revoked(const struct vmbus_channel *chan);
uint32_t vmbus_chan_read_available(struct vmbus_channel *chan);
int vmbus_chan_recv_peek(
    struct vmbus_channel *chan, void *data, int len, uint32_t advance);
int vmbus_chan_recv_idxadv(struct vmbus_channel *chan, uint32_t advance);
int vmbus_chan_send(struct vmbus_channel *chan, uint16_t type, uint16_t flags,
    void *data, int dlen, uint64_t xactid);

#endif /* _KPI_H_ */
