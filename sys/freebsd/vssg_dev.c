/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The two character devices.  Each open file has a slot of the engine's and a
 * struct vssg_open, found through cdevpriv, whose destructor is the close: it
 * runs when the last descriptor goes, or when the device does.
 *
 * When the device goes while files are open, poll and kqueue are woken first
 * and say so; who sleeps in kevent gets a moment to take its last event, and
 * only then are the remaining ones removed, because their filter is our code.
 */

#include "vssg_var.h"

#include <sys/fcntl.h>
#include <sys/file.h>
#include <sys/poll.h>
#include <sys/proc.h>
#include <sys/ucred.h>

#include "dev_calls.h"

#include <dev/hyperv/hv_snapshot.h>

/* How long who sleeps in kevent has to take its last event. */
#define VSSG_KEVENT_MS 1000

static d_open_t vssg_dev_open;
static d_ioctl_t vssg_dev_ioctl;
static d_poll_t vssg_dev_poll;
static d_kqfilter_t vssg_dev_kqfilter;

static struct cdevsw vssg_cdevsw = {
	.d_version = D_VERSION,
	.d_open = vssg_dev_open,
	.d_ioctl = vssg_dev_ioctl,
	.d_poll = vssg_dev_poll,
	.d_kqfilter = vssg_dev_kqfilter,
	.d_name = VSSG_NAME,
};

/* By enum vss_engine_kind. */
static const struct {
	const char *nd_name;
	int nd_mode;
} vssg_nodes[VSSG_NCDEVS] = {
	[VSS_ENGINE_FS] = { FS_VSS_DEV_NAME, 0600 },
	[VSS_ENGINE_APP] = { APP_VSS_DEV_NAME, 0660 },
};

static bool
vssg_dev_gone(const struct vssg *vs)
{
	return (vs->vs_state != VSSG_RUNNING || vs->vs_broken);
}

/* What a call of the engine is about. */
struct vssg_call {
	struct vssg_open *vc_open;
	enum vss_engine_kind vc_kind;
	struct vss_engine_who vc_who;
	u_long vc_cmd;
	void *vc_data;
};

static int
vssg_call_open(struct vssg *vs, void *arg)
{
	struct vssg_call *vc = arg;
	struct vssg_open *vo;
	uint32_t slot;
	int error;

	error = vss_engine_open(
	    &vs->vs_engine, vc->vc_kind, &vc->vc_who, vssg_now(vs), &slot);
	vssg_pump(vs);
	if (error != 0)
		return (error);
	vo = &vs->vs_opens[slot];
	KASSERT(!vo->vo_used, ("slot %u is taken", slot));
	vo->vo_used = true;
	vo->vo_closing = false;
	vo->vo_slot = slot;
	vo->vo_nknotes = 0;
	knlist_init_mtx(&vo->vo_sel.si_note, &vs->vs_mtx);
	vc->vc_open = vo;
	return (0);
}

static int
vssg_call_close(struct vssg *vs, void *arg)
{
	struct vssg_open *vo = arg;

	vss_engine_close(&vs->vs_engine, vo->vo_slot, vssg_now(vs));
	vssg_pump(vs);
	return (0);
}

/*
 * knlist_delete() lets go of each knote's file with vs_mtx held.  The program
 * may close it at that moment; but the last close sleeps.
 */
static void
vssg_dev_close(void *arg)
{
	struct vssg_open *vo = arg;
	struct vssg *vs = &vssg;
	struct file *fp = NULL;

	mtx_lock(&vs->vs_mtx);
	vo->vo_closing = true;
	if (vo->vo_nknotes != 0 && fhold(vo->vo_file))
		fp = vo->vo_file;
	mtx_unlock(&vs->vs_mtx);
	knlist_delete(&vo->vo_sel.si_note, curthread, 0);
	knlist_destroy(&vo->vo_sel.si_note);
	seldrain(&vo->vo_sel);
	mtx_lock(&vs->vs_mtx);
	vssg_engine(vs, vssg_call_close, vo, 0);
	vo->vo_used = false;
	mtx_unlock(&vs->vs_mtx);
	if (fp != NULL)
		fdrop(fp, curthread);
}

static int
vssg_dev_open(
    struct cdev *dev, int oflags __unused, int type __unused, struct thread *td)
{
	struct vssg *vs = &vssg;
	struct vssg_call vc;
	int error = ENXIO;

	memset(&vc, 0, sizeof(vc));
	vc.vc_kind = (enum vss_engine_kind)(uintptr_t)dev->si_drv1;
	vc.vc_who.ew_pid = (uint64_t)td->td_proc->p_pid;
	vc.vc_who.ew_uid = td->td_ucred->cr_uid;
	strlcpy(
	    vc.vc_who.ew_comm, td->td_proc->p_comm, sizeof(vc.vc_who.ew_comm));
	mtx_lock(&vs->vs_mtx);
	if (!vssg_dev_gone(vs))
		error = vssg_engine(vs, vssg_call_open, &vc, ENXIO);
	mtx_unlock(&vs->vs_mtx);
	if (error != 0)
		return (error);
	error = devfs_set_cdevpriv(vc.vc_open, vssg_dev_close);
	if (error != 0)
		vssg_dev_close(vc.vc_open);
	return (error);
}

static int
vssg_call_ioctl(struct vssg *vs, void *arg)
{
	struct vssg_call *vc = arg;
	int error;

	error = dev_calls_ioctl(&vs->vs_engine, vc->vc_open->vo_slot,
	    vssg_now(vs), vc->vc_cmd, vc->vc_data);
	vssg_pump(vs);
	return (error);
}

/* The kernel has copied data in, and copies it out when 0 is returned. */
static int
vssg_dev_ioctl(struct cdev *dev __unused, u_long cmd, caddr_t data,
    int fflag __unused, struct thread *td __unused)
{
	struct vssg *vs = &vssg;
	struct vssg_call vc;
	void *vo;
	int error;

	error = devfs_get_cdevpriv(&vo);
	if (error != 0)
		return (error);
	vc.vc_open = vo;
	vc.vc_cmd = cmd;
	vc.vc_data = data;
	error = ENXIO;
	mtx_lock(&vs->vs_mtx);
	if (!vssg_dev_gone(vs))
		error = vssg_engine(vs, vssg_call_ioctl, &vc, ENXIO);
	mtx_unlock(&vs->vs_mtx);
	return (error);
}

static int
vssg_call_poll(struct vssg *vs, void *arg)
{
	struct vssg_open *vo = arg;

	return (vss_engine_poll(&vs->vs_engine, vo->vo_slot, vssg_now(vs)) ?
		POLLIN | POLLRDNORM :
		0);
}

static int
vssg_dev_poll(struct cdev *dev __unused, int events, struct thread *td)
{
	struct vssg *vs = &vssg;
	struct vssg_open *vo;
	void *priv;
	int revents = 0;

	if (devfs_get_cdevpriv(&priv) != 0)
		return (POLLHUP);
	vo = priv;
	mtx_lock(&vs->vs_mtx);
	if (!vssg_dev_gone(vs)) {
		revents = events & vssg_engine(vs, vssg_call_poll, vo, 0);
		if (revents == 0)
			selrecord(td, &vo->vo_sel);
	}
	if (vssg_dev_gone(vs))
		revents = POLLHUP | (events & (POLLIN | POLLRDNORM));
	mtx_unlock(&vs->vs_mtx);
	return (revents);
}

/* vs_mtx is held: it is the knlist's lock. */
static int
vssg_kevent(struct knote *kn, long hint __unused)
{
	struct vssg_open *vo = kn->kn_hook;
	struct vssg *vs = &vssg;

	mtx_assert(&vs->vs_mtx, MA_OWNED);
	if (vssg_dev_gone(vs)) {
		kn->kn_flags |= EV_EOF | EV_ONESHOT;
		kn->kn_data = 0;
		return (1);
	}
	/* Within the engine's own turn too: nothing is called that changes. */
	kn->kn_data = vss_client_readable(&vs->vs_clients[vo->vo_slot]) ?
	    (int64_t)sizeof(struct hv_vss_opt_msg) :
	    0;
	return (kn->kn_data != 0);
}

static void
vssg_kdetach(struct knote *kn)
{
	struct vssg_open *vo = kn->kn_hook;
	struct vssg *vs = &vssg;

	mtx_lock(&vs->vs_mtx);
	vo->vo_nknotes--;
	knlist_remove(&vo->vo_sel.si_note, kn, 1);
	mtx_unlock(&vs->vs_mtx);
}

static struct filterops vssg_filterops = {
	.f_isfd = 1,
	.f_detach = vssg_kdetach,
	.f_event = vssg_kevent,
};

static int
vssg_dev_kqfilter(struct cdev *dev __unused, struct knote *kn)
{
	struct vssg *vs = &vssg;
	struct vssg_open *vo;
	void *priv;
	int error;

	error = devfs_get_cdevpriv(&priv);
	if (error != 0)
		return (error);
	if (kn->kn_filter != EVFILT_READ)
		return (EINVAL);
	vo = priv;
	mtx_lock(&vs->vs_mtx);
	if (vssg_dev_gone(vs)) {
		mtx_unlock(&vs->vs_mtx);
		return (ENXIO);
	}
	/* It takes part from now on. */
	vssg_engine(vs, vssg_call_poll, vo, 0);
	kn->kn_fop = &vssg_filterops;
	kn->kn_hook = vo;
	knlist_add(&vo->vo_sel.si_note, kn, 1);
	vo->vo_nknotes++;
	vo->vo_file = kn->kn_fp;
	mtx_unlock(&vs->vs_mtx);
	return (0);
}

void
vssg_dev_wake(struct vssg *vs, uint32_t slot)
{
	struct vssg_open *vo = &vs->vs_opens[slot];

	mtx_assert(&vs->vs_mtx, MA_OWNED);
	if (!vo->vo_used || vo->vo_closing)
		return;
	selwakeup(&vo->vo_sel);
	KNOTE_LOCKED(&vo->vo_sel.si_note, 0);
}

void
vssg_dev_wake_all(struct vssg *vs)
{
	uint32_t slot;

	for (slot = 0; slot < VSSG_NOPENS; slot++)
		vssg_dev_wake(vs, slot);
}

int
vssg_dev_start(struct vssg *vs)
{
	struct make_dev_args args;
	int error, i;

	for (i = 0; i < VSSG_NCDEVS; i++) {
		make_dev_args_init(&args);
		args.mda_flags = MAKEDEV_CHECKNAME | MAKEDEV_WAITOK;
		args.mda_devsw = &vssg_cdevsw;
		args.mda_uid = UID_ROOT;
		args.mda_gid = GID_WHEEL;
		args.mda_mode = vssg_nodes[i].nd_mode;
		args.mda_si_drv1 = (void *)(uintptr_t)i;
		error = make_dev_s(
		    &args, &vs->vs_cdevs[i], "%s", vssg_nodes[i].nd_name);
		if (error == 0)
			continue;
		vs->vs_cdevs[i] = NULL;
		printf(VSSG_NAME ": /dev/%s: error %d%s\n",
		    vssg_nodes[i].nd_name, error,
		    error == EEXIST ? "; another driver has made it, perhaps "
				      "the base system's " VSSG_BASE :
				      "");
		return (error);
	}
	return (0);
}

static uint32_t
vssg_dev_knotes(struct vssg *vs)
{
	uint32_t i, n = 0;

	mtx_lock(&vs->vs_mtx);
	for (i = 0; i < VSSG_NOPENS; i++)
		if (vs->vs_opens[i].vo_used)
			n += vs->vs_opens[i].vo_nknotes;
	mtx_unlock(&vs->vs_mtx);
	return (n);
}

static bool
vssg_dev_used(struct vssg *vs)
{
	uint32_t i;
	bool used = false;

	mtx_lock(&vs->vs_mtx);
	for (i = 0; i < VSSG_NOPENS; i++)
		used = used || vs->vs_opens[i].vo_used;
	mtx_unlock(&vs->vs_mtx);
	return (used);
}

/* The state is VSSG_STOPPING: every call that begins now fails. */
void
vssg_dev_stop(struct vssg *vs)
{
	int i;

	mtx_lock(&vs->vs_mtx);
	vssg_dev_wake_all(vs);
	mtx_unlock(&vs->vs_mtx);
	for (i = 0; i < VSSG_KEVENT_MS / 10 && vssg_dev_knotes(vs) != 0; i++)
		pause_sbt("vssgkq", 10 * SBT_1MS, 0, 0);
	for (i = 0; i < VSSG_NCDEVS; i++) {
		if (vs->vs_cdevs[i] != NULL)
			destroy_dev(vs->vs_cdevs[i]);
		vs->vs_cdevs[i] = NULL;
	}
	/* It does not wait for a destructor that a last close has begun. */
	while (vssg_dev_used(vs))
		pause_sbt("vssgcl", 10 * SBT_1MS, 0, 0);
}
