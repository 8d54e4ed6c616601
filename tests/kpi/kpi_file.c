/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The kernel's stand-in: devfs with cdevpriv, select and kqueue, and the system
 * calls that lead there.
 *
 * kpi_fs_lock covers all of it.  It is taken after the module's mutex, and
 * never held while the module is called.
 */

#include <stdarg.h>
#include <time.h>

#include "kpi_test.h"

struct kpi_file {
	struct file f_file;
	LIST_HEAD(kpi_file_knotes, knote) f_knotes;
	LIST_ENTRY(kpi_file) f_link; /* of the device's */
	struct cdev *f_dev;
	struct thread *f_td;
	void *f_priv;
	void (*f_dtor)(void *);
};

struct kpi_kqueue {
	TAILQ_HEAD(kpi_kq_knotes, knote) kq_knotes;
};

static pthread_mutex_t kpi_fs_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t kpi_fs_cond = PTHREAD_COND_INITIALIZER;
static LIST_HEAD(kpi_cdev_list, cdev) kpi_cdevs = LIST_HEAD_INITIALIZER(
    kpi_cdevs);
static _Thread_local struct thread *kpi_td;
static void (*kpi_taken)(void);
static void (*kpi_closing_fn)(void);

static void kpi_knote_drop(struct knote *kn);

/* Waits on kpi_fs_cond until an absolute time; false when it has passed. */
static bool
kpi_fs_wait(const struct timespec *until)
{
	return (pthread_cond_timedwait(&kpi_fs_cond, &kpi_fs_lock, until) == 0);
}

static struct timespec
kpi_real_time(int ms)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_sec += ms / 1000;
	ts.tv_nsec += ms % 1000 * 1000000L;
	if (ts.tv_nsec >= 1000000000L) {
		ts.tv_sec++;
		ts.tv_nsec -= 1000000000L;
	}
	return (ts);
}

struct thread *
kpi_curthread(void)
{
	return (kpi_td);
}

struct thread *
kpi_thread(const char *comm, pid_t pid, uid_t uid)
{
	struct thread *td = (calloc)(1, sizeof(*td));

	if (td == NULL)
		kpi_panic("no memory");
	td->td_proc = (calloc)(1, sizeof(*td->td_proc));
	td->td_ucred = (calloc)(1, sizeof(*td->td_ucred));
	if (td->td_proc == NULL || td->td_ucred == NULL)
		kpi_panic("no memory");
	td->td_proc->p_pid = pid;
	strlcpy(td->td_proc->p_comm, comm, sizeof(td->td_proc->p_comm));
	td->td_ucred->cr_uid = uid;
	return (td);
}

void
kpi_thread_free(struct thread *td)
{
	(free)(td->td_proc);
	(free)(td->td_ucred);
	(free)(td);
}

/*
 * Devices.
 */

static struct cdev *
kpi_cdev_find(const char *name)
{
	struct cdev *dev;

	LIST_FOREACH(dev, &kpi_cdevs, si_link)
		if (dev->si_devsw != NULL && strcmp(dev->si_name, name) == 0)
			return (dev);
	return (NULL);
}

bool
kpi_cdev_exists(const char *name)
{
	bool exists;

	pthread_mutex_lock(&kpi_fs_lock);
	exists = kpi_cdev_find(name) != NULL;
	pthread_mutex_unlock(&kpi_fs_lock);
	return (exists);
}

int
kpi_cdev_mode(const char *name)
{
	struct cdev *dev;
	int mode;

	pthread_mutex_lock(&kpi_fs_lock);
	dev = kpi_cdev_find(name);
	mode = dev != NULL ? dev->si_mode : -1;
	pthread_mutex_unlock(&kpi_fs_lock);
	return (mode);
}

void
make_dev_args_init(struct make_dev_args *args)
{
	memset(args, 0, sizeof(*args));
}

int
make_dev_s(struct make_dev_args *args, struct cdev **cdev, const char *fmt, ...)
{
	struct cdev *dev = (calloc)(1, sizeof(*dev));
	va_list ap;
	int error = 0;

	kpi_may_sleep("make_dev_s");
	if (dev == NULL)
		kpi_panic("no memory");
	va_start(ap, fmt);
	vsnprintf(dev->si_name, sizeof(dev->si_name), fmt, ap);
	va_end(ap);
	dev->si_drv1 = args->mda_si_drv1;
	dev->si_devsw = args->mda_devsw;
	dev->si_mode = args->mda_mode;
	LIST_INIT(&dev->si_files);
	pthread_mutex_lock(&kpi_fs_lock);
	if (kpi_cdev_find(dev->si_name) != NULL) {
		if ((args->mda_flags & MAKEDEV_CHECKNAME) == 0)
			kpi_panic("make_dev: %s exists", dev->si_name);
		error = EEXIST;
	} else
		LIST_INSERT_HEAD(&kpi_cdevs, dev, si_link);
	pthread_mutex_unlock(&kpi_fs_lock);
	if (error != 0)
		(free)(dev);
	else
		*cdev = dev;
	return (error);
}

struct cdev *
kpi_cdev_foreign(const char *name)
{
	static struct cdevsw sw;
	struct make_dev_args args;
	struct cdev *dev;

	make_dev_args_init(&args);
	args.mda_devsw = &sw;
	if (make_dev_s(&args, &dev, "%s", name) != 0)
		kpi_panic("%s exists", name);
	return (dev);
}

/* Runs the destructor of one file; the lock is dropped meanwhile. */
static void
kpi_file_destroy_priv(struct kpi_file *fp)
{
	void (*dtor)(void *) = fp->f_dtor;
	void *priv = fp->f_priv;
	bool closing = fp->f_file.f_count == 0;

	fp->f_dtor = NULL;
	if (dtor == NULL)
		return;
	pthread_mutex_unlock(&kpi_fs_lock);
	if (closing && kpi_closing_fn != NULL)
		kpi_closing_fn();
	dtor(priv);
	pthread_mutex_lock(&kpi_fs_lock);
}

void
kpi_closing(void (*fn)(void))
{
	kpi_closing_fn = fn;
}

/*
 * The device is forgotten at once, calls that are inside are waited for, then
 * every open file's destructor runs.  Files that are open still lead here, so
 * it is freed with the last of them.
 */
void
destroy_dev(struct cdev *dev)
{
	struct kpi_file *fp;

	kpi_may_sleep("destroy_dev");
	pthread_mutex_lock(&kpi_fs_lock);
	if (dev->si_devsw == NULL)
		kpi_panic("destroy_dev: %s twice", dev->si_name);
	dev->si_devsw = NULL;
	while (dev->si_threads != 0)
		pthread_cond_wait(&kpi_fs_cond, &kpi_fs_lock);
again:
	LIST_FOREACH(fp, &dev->si_files, f_link)
		if (fp->f_dtor != NULL) {
			kpi_file_destroy_priv(fp);
			goto again;
		}
	LIST_REMOVE(dev, si_link);
	dev->si_link.le_prev = NULL;
	if (LIST_EMPTY(&dev->si_files))
		(free)(dev);
	pthread_mutex_unlock(&kpi_fs_lock);
}

/* A call into the driver begins; NULL: the device is gone. */
static struct cdevsw *
kpi_enter(struct kpi_file *fp, struct thread *td)
{
	struct cdevsw *sw;

	pthread_mutex_lock(&kpi_fs_lock);
	sw = fp->f_dev->si_devsw;
	if (sw != NULL)
		fp->f_dev->si_threads++;
	pthread_mutex_unlock(&kpi_fs_lock);
	kpi_td = td;
	td->td_file = fp;
	return (sw);
}

static void
kpi_leave(struct kpi_file *fp)
{
	kpi_may_sleep("return to user space");
	pthread_mutex_lock(&kpi_fs_lock);
	fp->f_dev->si_threads--;
	pthread_cond_broadcast(&kpi_fs_cond);
	pthread_mutex_unlock(&kpi_fs_lock);
}

int
devfs_set_cdevpriv(void *priv, void (*dtor)(void *))
{
	struct kpi_file *fp = kpi_td->td_file;

	kpi_may_sleep("devfs_set_cdevpriv");
	pthread_mutex_lock(&kpi_fs_lock);
	if (fp->f_dtor != NULL)
		kpi_panic("devfs_set_cdevpriv twice");
	fp->f_priv = priv;
	fp->f_dtor = dtor;
	pthread_mutex_unlock(&kpi_fs_lock);
	return (0);
}

int
devfs_get_cdevpriv(void **priv)
{
	struct kpi_file *fp = kpi_td->td_file;
	int error;

	pthread_mutex_lock(&kpi_fs_lock);
	*priv = fp->f_priv;
	error = fp->f_dtor != NULL ? 0 : EBADF;
	pthread_mutex_unlock(&kpi_fs_lock);
	return (error);
}

/*
 * System calls.
 */

int
kpi_open(struct thread *td, const char *name, struct kpi_file **fpp)
{
	struct kpi_file *fp = (calloc)(1, sizeof(*fp));
	struct cdevsw *sw = NULL;
	int error = ENOENT;

	if (fp == NULL)
		kpi_panic("no memory");
	pthread_mutex_lock(&kpi_fs_lock);
	fp->f_file.f_count = 1;
	fp->f_td = td;
	fp->f_dev = kpi_cdev_find(name);
	if (fp->f_dev != NULL) {
		sw = fp->f_dev->si_devsw;
		fp->f_dev->si_threads++;
		LIST_INSERT_HEAD(&fp->f_dev->si_files, fp, f_link);
	}
	pthread_mutex_unlock(&kpi_fs_lock);
	if (fp->f_dev != NULL) {
		kpi_td = td;
		td->td_file = fp;
		error = sw->d_open(fp->f_dev, 3, 0, td);
		kpi_leave(fp);
	}
	if (error == 0)
		*fpp = fp;
	else if (fp->f_dev != NULL)
		kpi_close(fp);
	else
		(free)(fp);
	return (error);
}

bool
fhold(struct file *fp)
{
	pthread_mutex_lock(&kpi_fs_lock);
	fp->f_count++;
	pthread_mutex_unlock(&kpi_fs_lock);
	return (true);
}

static void
kpi_last_close(struct kpi_file *fp)
{
	struct cdev *dev = fp->f_dev;

	kpi_may_sleep("the last close of a file");
	kpi_td = fp->f_td;
	pthread_mutex_lock(&kpi_fs_lock);
	kpi_file_destroy_priv(fp);
	LIST_REMOVE(fp, f_link);
	if (dev->si_devsw == NULL && dev->si_link.le_prev == NULL &&
	    LIST_EMPTY(&dev->si_files))
		(free)(dev);
	pthread_mutex_unlock(&kpi_fs_lock);
	(free)(fp);
}

int
fdrop(struct file *fp, struct thread *td __unused)
{
	bool last;

	pthread_mutex_lock(&kpi_fs_lock);
	last = --fp->f_count == 0;
	pthread_mutex_unlock(&kpi_fs_lock);
	if (last)
		kpi_last_close((struct kpi_file *)fp);
	return (0);
}

/* Its knotes go first. */
void
kpi_close(struct kpi_file *fp)
{
	struct knote *kn;

	pthread_mutex_lock(&kpi_fs_lock);
	while ((kn = LIST_FIRST(&fp->f_knotes)) != NULL) {
		if (kn->kn_influx) {
			pthread_cond_wait(&kpi_fs_cond, &kpi_fs_lock);
			continue;
		}
		kn->kn_influx = true;
		pthread_mutex_unlock(&kpi_fs_lock);
		kpi_knote_drop(kn);
		pthread_mutex_lock(&kpi_fs_lock);
	}
	pthread_mutex_unlock(&kpi_fs_lock);
	fdrop(&fp->f_file, fp->f_td);
}

/*
 * As kern_ioctl(): a buffer of the command's size, copied in or zeroed, copied
 * out only when the driver returned 0.
 */
int
kpi_ioctl(struct kpi_file *fp, u_long cmd, void *data)
{
	struct cdevsw *sw;
	size_t len = _IOC_SIZE(cmd);
	char *buf;
	int error = ENXIO;

	buf = (calloc)(1, len != 0 ? len : 1);
	if (buf == NULL)
		kpi_panic("no memory");
	if ((_IOC_DIR(cmd) & _IOC_WRITE) != 0)
		memcpy(buf, data, len);
	sw = kpi_enter(fp, fp->f_td);
	if (sw != NULL) {
		error = sw->d_ioctl == NULL ?
		    ENODEV :
		    sw->d_ioctl(fp->f_dev, cmd, buf, 3, fp->f_td);
		kpi_leave(fp);
	}
	if (error == 0 && (_IOC_DIR(cmd) & _IOC_READ) != 0)
		memcpy(data, buf, len);
	(free)(buf);
	return (error);
}

int
uiomove(void *p, int n, struct uio *uio)
{
	kpi_may_sleep("uiomove");
	if (n > uio->uio_resid)
		kpi_panic("uiomove of more than there is");
	if (uio->uio_rw == UIO_READ)
		memcpy(uio->uio_buf, p, (size_t)n);
	else
		memcpy(p, uio->uio_buf, (size_t)n);
	uio->uio_buf += n;
	uio->uio_resid -= n;
	return (0);
}

int
kpi_read(struct kpi_file *fp, void *buf, size_t *len)
{
	struct uio uio = { buf, (ssize_t)*len, UIO_READ };
	struct cdevsw *sw;
	int error = ENXIO;

	sw = kpi_enter(fp, fp->f_td);
	if (sw != NULL) {
		error = sw->d_read == NULL ? ENODEV :
					     sw->d_read(fp->f_dev, &uio, 0);
		kpi_leave(fp);
	}
	*len -= (size_t)uio.uio_resid;
	return (error);
}

int
kpi_write(struct kpi_file *fp, const void *buf, size_t len)
{
	struct uio uio = { __DECONST(uint8_t *, buf), (ssize_t)len, UIO_WRITE };
	struct cdevsw *sw;
	int error = ENXIO;

	sw = kpi_enter(fp, fp->f_td);
	if (sw != NULL) {
		error = sw->d_write == NULL ? ENODEV :
					      sw->d_write(fp->f_dev, &uio, 0);
		kpi_leave(fp);
	}
	return (error);
}

/*
 * Select.  A thread is recorded in one place at most: that is all poll(2) of
 * one file needs.
 */

static void
kpi_sel_forget(struct thread *td)
{
	if (td->td_sel != NULL)
		LIST_REMOVE(td, td_sellink);
	td->td_sel = NULL;
}

void
selrecord(struct thread *td, struct selinfo *sip)
{
	pthread_mutex_lock(&kpi_fs_lock);
	kpi_sel_forget(td);
	td->td_sel = sip;
	LIST_INSERT_HEAD(&sip->si_tdlist, td, td_sellink);
	pthread_cond_broadcast(&kpi_fs_cond);
	pthread_mutex_unlock(&kpi_fs_lock);
}

void
kpi_wait_for_sleeper(struct selinfo *sip)
{
	pthread_mutex_lock(&kpi_fs_lock);
	while (LIST_EMPTY(&sip->si_tdlist))
		pthread_cond_wait(&kpi_fs_cond, &kpi_fs_lock);
	pthread_mutex_unlock(&kpi_fs_lock);
}

void
selwakeup(struct selinfo *sip)
{
	struct thread *td;

	pthread_mutex_lock(&kpi_fs_lock);
	while ((td = LIST_FIRST(&sip->si_tdlist)) != NULL) {
		kpi_sel_forget(td);
		td->td_woken = true;
	}
	pthread_cond_broadcast(&kpi_fs_cond);
	pthread_mutex_unlock(&kpi_fs_lock);
}

void
seldrain(struct selinfo *sip)
{
	selwakeup(sip);
}

static int
kpi_poll_once(struct kpi_file *fp, int events)
{
	struct cdevsw *sw;
	int revents = POLLHUP;

	sw = kpi_enter(fp, fp->f_td);
	if (sw != NULL) {
		revents = sw->d_poll(fp->f_dev, events, fp->f_td);
		kpi_leave(fp);
	}
	return (revents);
}

int
kpi_poll(struct kpi_file *fp, int events, int ms)
{
	struct timespec until = kpi_real_time(ms);
	struct thread *td = fp->f_td;
	bool waits = true;
	int revents;

	for (;;) {
		pthread_mutex_lock(&kpi_fs_lock);
		td->td_woken = false;
		pthread_mutex_unlock(&kpi_fs_lock);
		revents = kpi_poll_once(fp, events);
		pthread_mutex_lock(&kpi_fs_lock);
		while (revents == 0 && waits && !td->td_woken)
			waits = kpi_fs_wait(&until);
		kpi_sel_forget(td);
		pthread_mutex_unlock(&kpi_fs_lock);
		if (revents != 0 || !waits)
			return (revents);
	}
}

/*
 * Kqueue.  While a knote is in flux somebody works on it with the lock dropped,
 * and nobody else may drop it.
 */

void
knlist_init_mtx(struct knlist *knl, struct mtx *lock)
{
	SLIST_INIT(&knl->kl_list);
	knl->kl_mtx = lock;
}

void
knlist_add(struct knlist *knl, struct knote *kn, int islocked)
{
	if (islocked)
		mtx_assert(knl->kl_mtx, MA_OWNED);
	else
		mtx_lock(knl->kl_mtx);
	pthread_mutex_lock(&kpi_fs_lock);
	SLIST_INSERT_HEAD(&knl->kl_list, kn, kn_selnext);
	kn->kn_knlist = knl;
	pthread_mutex_unlock(&kpi_fs_lock);
	if (!islocked)
		mtx_unlock(knl->kl_mtx);
}

void
knlist_remove(struct knlist *knl, struct knote *kn, int islocked)
{
	if (islocked)
		mtx_assert(knl->kl_mtx, MA_OWNED);
	else
		mtx_lock(knl->kl_mtx);
	pthread_mutex_lock(&kpi_fs_lock);
	if (kn->kn_knlist != knl)
		kpi_panic("knlist_remove: not there");
	SLIST_REMOVE(&knl->kl_list, kn, knote, kn_selnext);
	kn->kn_knlist = NULL;
	pthread_mutex_unlock(&kpi_fs_lock);
	if (!islocked)
		mtx_unlock(knl->kl_mtx);
}

void
knlist_destroy(struct knlist *knl)
{
	if (!SLIST_EMPTY(&knl->kl_list))
		kpi_panic("knlist_destroy: not empty");
	knl->kl_mtx = NULL;
}

void
kpi_knote_taken(void (*fn)(void))
{
	kpi_taken = fn;
}

/* Takes every knote off the list and out of its kqueue. */
void
knlist_delete(struct knlist *knl, struct thread *td __unused, int islocked)
{
	struct knote *kn;
	bool busy = true;

	if (islocked)
		kpi_panic("knlist_delete: not used so");
	kpi_may_sleep("knlist_delete");
	while (busy) {
		mtx_lock(knl->kl_mtx);
		pthread_mutex_lock(&kpi_fs_lock);
		while ((kn = SLIST_FIRST(&knl->kl_list)) != NULL &&
		    !kn->kn_influx) {
			SLIST_REMOVE_HEAD(&knl->kl_list, kn_selnext);
			TAILQ_REMOVE(&kn->kn_kq->kq_knotes, kn, kn_link);
			LIST_REMOVE(kn, kn_filelink);
			pthread_mutex_unlock(&kpi_fs_lock);
			if (kpi_taken != NULL)
				kpi_taken();
			fdrop(kn->kn_fp, NULL);
			(free)(kn);
			pthread_mutex_lock(&kpi_fs_lock);
		}
		busy = kn != NULL;
		mtx_unlock(knl->kl_mtx);
		if (busy)
			pthread_cond_wait(&kpi_fs_cond, &kpi_fs_lock);
		pthread_mutex_unlock(&kpi_fs_lock);
	}
}

void
kpi_knote(struct knlist *knl, long hint)
{
	struct knote *kn;
	bool active;

	mtx_assert(knl->kl_mtx, MA_OWNED);
	SLIST_FOREACH(kn, &knl->kl_list, kn_selnext)
	{
		active = kn->kn_fop->f_event(kn, hint) != 0;
		pthread_mutex_lock(&kpi_fs_lock);
		kn->kn_active |= active;
		pthread_cond_broadcast(&kpi_fs_cond);
		pthread_mutex_unlock(&kpi_fs_lock);
	}
}

struct kpi_kqueue *
kpi_kqueue(void)
{
	struct kpi_kqueue *kq = (calloc)(1, sizeof(*kq));

	if (kq == NULL)
		kpi_panic("no memory");
	TAILQ_INIT(&kq->kq_knotes);
	return (kq);
}

/* The knote is in flux, and nobody else will see it from here on. */
static void
kpi_knote_drop(struct knote *kn)
{
	bool listed;

	pthread_mutex_lock(&kpi_fs_lock);
	listed = kn->kn_knlist != NULL;
	pthread_mutex_unlock(&kpi_fs_lock);
	if (listed)
		kn->kn_fop->f_detach(kn);
	pthread_mutex_lock(&kpi_fs_lock);
	TAILQ_REMOVE(&kn->kn_kq->kq_knotes, kn, kn_link);
	LIST_REMOVE(kn, kn_filelink);
	pthread_cond_broadcast(&kpi_fs_cond);
	pthread_mutex_unlock(&kpi_fs_lock);
	fdrop(kn->kn_fp, NULL);
	(free)(kn);
}

void
kpi_kqueue_close(struct kpi_kqueue *kq)
{
	struct knote *kn;

	for (;;) {
		pthread_mutex_lock(&kpi_fs_lock);
		while (
		    (kn = TAILQ_FIRST(&kq->kq_knotes)) != NULL && kn->kn_influx)
			pthread_cond_wait(&kpi_fs_cond, &kpi_fs_lock);
		if (kn != NULL)
			kn->kn_influx = true;
		pthread_mutex_unlock(&kpi_fs_lock);
		if (kn == NULL)
			break;
		kpi_knote_drop(kn);
	}
	(free)(kq);
}

/* f_event with the list's lock; the knote is in flux. */
static bool
kpi_knote_event(struct knote *kn)
{
	struct mtx *m = kn->kn_knlist->kl_mtx;
	bool active;

	mtx_lock(m);
	active = kn->kn_fop->f_event(kn, 0) != 0;
	mtx_unlock(m);
	return (active);
}

static void
kpi_knote_settle(struct knote *kn, bool active)
{
	pthread_mutex_lock(&kpi_fs_lock);
	kn->kn_active = active;
	kn->kn_influx = false;
	pthread_cond_broadcast(&kpi_fs_cond);
	pthread_mutex_unlock(&kpi_fs_lock);
}

int
kpi_kevent_add(struct kpi_kqueue *kq, struct kpi_file *fp, short filter)
{
	struct knote *kn = (calloc)(1, sizeof(*kn));
	struct cdevsw *sw;
	int error = ENXIO;

	if (kn == NULL)
		kpi_panic("no memory");
	kn->kn_kq = kq;
	kn->kn_fp = &fp->f_file;
	fhold(kn->kn_fp);
	kn->kn_filter = filter;
	kn->kn_influx = true;
	pthread_mutex_lock(&kpi_fs_lock);
	TAILQ_INSERT_TAIL(&kq->kq_knotes, kn, kn_link);
	LIST_INSERT_HEAD(&fp->f_knotes, kn, kn_filelink);
	pthread_mutex_unlock(&kpi_fs_lock);
	sw = kpi_enter(fp, fp->f_td);
	if (sw != NULL) {
		error = sw->d_kqfilter(fp->f_dev, kn);
		kpi_leave(fp);
	}
	if (error == 0)
		kpi_knote_settle(kn, kpi_knote_event(kn));
	else
		kpi_knote_drop(kn);
	return (error);
}

static struct knote *
kpi_kq_active(const struct kpi_kqueue *kq)
{
	struct knote *kn = TAILQ_FIRST(&kq->kq_knotes);

	while (kn != NULL && (!kn->kn_active || kn->kn_influx))
		kn = TAILQ_NEXT(kn, kn_link);
	return (kn);
}

/* One active knote, in flux; NULL when none became active in time. */
static struct knote *
kpi_kevent_next(struct kpi_kqueue *kq, const struct timespec *until)
{
	struct knote *kn;
	bool waits = true;

	pthread_mutex_lock(&kpi_fs_lock);
	while ((kn = kpi_kq_active(kq)) == NULL && waits)
		waits = kpi_fs_wait(until);
	if (kn != NULL) {
		kn->kn_influx = true;
		kn->kn_active = false;
	}
	pthread_mutex_unlock(&kpi_fs_lock);
	return (kn);
}

/*
 * As kqueue_scan(): a one-shot knote is delivered as it is and dropped, of any
 * other the filter is asked again.
 */
int
kpi_kevent(struct kpi_kqueue *kq, int ms, unsigned short *flags, int64_t *data)
{
	struct timespec until = kpi_real_time(ms);
	struct knote *kn;
	bool active;

	while ((kn = kpi_kevent_next(kq, &until)) != NULL) {
		active = (kn->kn_flags & EV_ONESHOT) != 0 ||
		    kpi_knote_event(kn);
		*flags = kn->kn_flags;
		*data = kn->kn_data;
		if ((kn->kn_flags & EV_ONESHOT) != 0)
			kpi_knote_drop(kn);
		else
			kpi_knote_settle(kn, active);
		if (active)
			return (0);
	}
	return (ETIMEDOUT);
}
