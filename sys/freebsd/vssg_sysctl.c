/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * dev.hvvssg.N: what the service is doing, what it has done, and its limits.
 * Limits are milliseconds, also as loader tunables of the same names, which are
 * taken once and together; they can be changed while no request is under way.
 */

#include "vssg_var.h"

#include <sys/sbuf.h>
#include <sys/sysctl.h>

#define VSSG_TEXT_MAX 512

enum vssg_item {
	ITEM_STATE,
	ITEM_FAILURE,
	ITEM_FRAMEWORK,
	ITEM_VERSION,
	ITEM_NTEXTS, /* those before are texts */
	ITEM_CHANNEL = ITEM_NTEXTS,
	ITEM_FROZEN,
	ITEM_LOST,
	ITEM_DAEMON,
	ITEM_APPS,
	ITEM_STALE,
	ITEM_REQUESTS,
	ITEM_REPLIES,
	ITEM_DROPPED,
	ITEM_TURNED_AWAY,
	ITEM_BROKEN,
	ITEM_NITEMS
};

static const struct {
	const char *it_name;
	const char *it_desc;
} vssg_items[ITEM_NITEMS] = {
	[ITEM_STATE] = { "state", "what is awaited" },
	[ITEM_FAILURE] = { "failure", "why the last failed request failed" },
	[ITEM_FRAMEWORK] = { "fw_version", "framework version agreed on" },
	[ITEM_VERSION] = { "msg_version", "message version agreed on" },
	[ITEM_CHANNEL] = { "channel", "the channel to the host is open" },
	[ITEM_FROZEN] = { "frozen", "somebody was asked to come to rest" },
	[ITEM_LOST] = { "lost", "the last hold was broken" },
	[ITEM_DAEMON] = { "daemon", "the file-system device is open" },
	[ITEM_APPS] = { "apps", "applications that take part" },
	[ITEM_STALE] = { "stale", "of them not waited for any more" },
	[ITEM_REQUESTS] = { "requests", "requests of the host" },
	[ITEM_REPLIES] = { "replies", "replies sent" },
	[ITEM_DROPPED] = { "dropped", "packets that cannot be answered" },
	[ITEM_TURNED_AWAY] = { "turned_away", "opens refused" },
	[ITEM_BROKEN] = { "broken", "failed assertions" },
};

static void
vssg_sysctl_version(const struct vmbus_icmsg_version *iv, char *text)
{
	snprintf(text, VSSG_TEXT_MAX, "%u.%u", iv->iv_major, iv->iv_minor);
}

static void
vssg_sysctl_text(struct vssg *vs, enum vssg_item item, char *text)
{
	struct vss_engine_status es;

	vss_engine_status(&vs->vs_engine, &es);
	text[0] = '\0';
	switch (item) {
	case ITEM_STATE:
		strlcpy(text,
		    vs->vs_broken		     ? "broken" :
			vs->vs_state == VSSG_RUNNING ? es.es_state :
						       "stopped",
		    VSSG_TEXT_MAX);
		break;
	case ITEM_FAILURE:
		if (es.es_failure.er_cause != VSS_ENGINE_CAUSE_NONE)
			vssg_log_reason(&es.es_failure, text, VSSG_TEXT_MAX);
		break;
	case ITEM_FRAMEWORK:
		vssg_sysctl_version(&es.es_agreed.ia_framework, text);
		break;
	default:
		vssg_sysctl_version(&es.es_agreed.ia_message, text);
		break;
	}
}

static uint64_t
vssg_sysctl_value(struct vssg *vs, enum vssg_item item)
{
	struct vss_engine_status es;
	uint64_t values[ITEM_NITEMS];

	vss_engine_status(&vs->vs_engine, &es);
	values[ITEM_CHANNEL] = vs->vs_up;
	values[ITEM_FROZEN] = es.es_frozen;
	values[ITEM_LOST] = es.es_lost;
	values[ITEM_DAEMON] = es.es_daemon;
	values[ITEM_APPS] = es.es_napps;
	values[ITEM_STALE] = es.es_nstale;
	values[ITEM_REQUESTS] = es.es_requests;
	values[ITEM_REPLIES] = es.es_replies;
	values[ITEM_DROPPED] = es.es_dropped;
	values[ITEM_TURNED_AWAY] = es.es_turned_away;
	values[ITEM_BROKEN] = vs->vs_nbroken;
	return (values[item]);
}

static int
vssg_sysctl_item(SYSCTL_HANDLER_ARGS)
{
	struct vssg *vs = arg1;
	enum vssg_item item = (enum vssg_item)arg2;
	char text[VSSG_TEXT_MAX];
	uint64_t value = 0;

	mtx_lock(&vs->vs_mtx);
	if (item < ITEM_NTEXTS)
		vssg_sysctl_text(vs, item, text);
	else
		value = vssg_sysctl_value(vs, item);
	mtx_unlock(&vs->vs_mtx);
	if (item < ITEM_NTEXTS)
		return (sysctl_handle_string(oidp, text, sizeof(text), req));
	return (sysctl_handle_64(oidp, &value, 0, req));
}

static const struct {
	const char *lm_name;
	size_t lm_offset;
	const char *lm_desc;
} vssg_limits[] = {
	{ "check", offsetof(struct vss_engine_conf, ec_check_ns), "CHECK" },
	{ "freeze", offsetof(struct vss_engine_conf, ec_freeze_ns), "FREEZE" },
	{ "prepare", offsetof(struct vss_engine_conf, ec_prepare_ns),
	    "of FREEZE, preparation" },
	{ "quiesce", offsetof(struct vss_engine_conf, ec_quiesce_ns),
	    "of FREEZE, applications" },
	{ "fs", offsetof(struct vss_engine_conf, ec_fs_ns),
	    "of FREEZE, file systems" },
	{ "hold", offsetof(struct vss_engine_conf, ec_hold_ns), "the hold" },
	{ "thaw", offsetof(struct vss_engine_conf, ec_thaw_ns), "THAW" },
	{ "thaw_fs", offsetof(struct vss_engine_conf, ec_thaw_fs_ns),
	    "of THAW, file systems" },
	{ "level", offsetof(struct vss_engine_conf, ec_level_ns),
	    "a level on the way up" },
};

/* A loader tunable; false if it is not set. */
static bool
vssg_sysctl_tunable(device_t dev, const char *name, u_int *value)
{
	char path[64];

	snprintf(path, sizeof(path), "dev.%s.%d.%s", device_get_name(dev),
	    device_get_unit(dev), name);
	return (getenv_uint(path, value) != 0);
}

void
vssg_sysctl_tunables(struct vss_engine_conf *ec, device_t dev)
{
	struct vss_engine_conf set;
	bool prepare = false;
	char name[32];
	uint64_t ns;
	u_int value;
	size_t i;

	vss_engine_conf_default(ec);
	set = *ec;
	for (i = 0; i < nitems(vssg_limits); i++) {
		snprintf(
		    name, sizeof(name), "limits.%s", vssg_limits[i].lm_name);
		if (!vssg_sysctl_tunable(dev, name, &value))
			continue;
		ns = value * VSS_NS_PER_MS;
		memcpy(
		    (char *)&set + vssg_limits[i].lm_offset, &ns, sizeof(ns));
		prepare = prepare ||
		    vssg_limits[i].lm_offset ==
			offsetof(struct vss_engine_conf, ec_prepare_ns);
	}
	if (!prepare)
		set.ec_prepare_ns = vss_engine_prepare_ns(set.ec_freeze_ns);
	if (vssg_sysctl_tunable(dev, "besteffort", &value))
		set.ec_besteffort = value != 0;
	if (vss_engine_conf_sane(&set))
		*ec = set;
	else
		device_printf(dev,
		    "limits of loader.conf are not taken: each is 1 to 900000 "
		    "ms, and none longer than what it is part of\n");
}

/* Takes a changed set of limits, when nothing runs by the old ones. */
static int
vssg_sysctl_change(struct vssg *vs, const struct vss_engine_conf *ec)
{
	if (vs->vs_state == VSSG_RUNNING &&
	    vss_engine_deadline(&vs->vs_engine) != VSS_ENGINE_NEVER)
		return (EBUSY);
	if (!vss_engine_conf_sane(ec))
		return (EINVAL);
	vs->vs_conf = *ec;
	return (0);
}

static int
vssg_sysctl_limit(SYSCTL_HANDLER_ARGS)
{
	struct vssg *vs = arg1;
	struct vss_engine_conf ec;
	uint64_t ns;
	u_int ms;
	int error;

	mtx_lock(&vs->vs_mtx);
	memcpy(&ns, (char *)&vs->vs_conf + vssg_limits[arg2].lm_offset,
	    sizeof(ns));
	mtx_unlock(&vs->vs_mtx);
	ms = (u_int)(ns / VSS_NS_PER_MS);
	error = sysctl_handle_int(oidp, &ms, 0, req);
	if (error != 0 || req->newptr == NULL)
		return (error);
	ns = ms * VSS_NS_PER_MS;
	mtx_lock(&vs->vs_mtx);
	ec = vs->vs_conf;
	memcpy((char *)&ec + vssg_limits[arg2].lm_offset, &ns, sizeof(ns));
	error = vssg_sysctl_change(vs, &ec);
	mtx_unlock(&vs->vs_mtx);
	return (error);
}

static int
vssg_sysctl_besteffort(SYSCTL_HANDLER_ARGS)
{
	struct vssg *vs = arg1;
	struct vss_engine_conf ec;
	int error, value;

	mtx_lock(&vs->vs_mtx);
	value = vs->vs_conf.ec_besteffort;
	mtx_unlock(&vs->vs_mtx);
	error = sysctl_handle_int(oidp, &value, 0, req);
	if (error != 0 || req->newptr == NULL)
		return (error);
	mtx_lock(&vs->vs_mtx);
	ec = vs->vs_conf;
	ec.ec_besteffort = value != 0;
	error = vssg_sysctl_change(vs, &ec);
	mtx_unlock(&vs->vs_mtx);
	return (error);
}

/*
 * The last events, oldest first, one a line: seconds, kind, client, argument,
 * id, value.  Each is copied under the lock and printed without it.
 */
static int
vssg_sysctl_trace(SYSCTL_HANDLER_ARGS)
{
	struct vssg *vs = arg1;
	struct vss_trace *tr = &vs->vs_trace;
	struct vss_trace_event te;
	struct sbuf sb;
	uint32_t i;
	int error;

	sbuf_new_for_sysctl(&sb, NULL, 256, req);
	for (i = 0;; i++) {
		mtx_lock(&vs->vs_mtx);
		if (i >= tr->tr_count) {
			mtx_unlock(&vs->vs_mtx);
			break;
		}
		te = tr->tr_events[(tr->tr_head + i) % tr->tr_cap];
		mtx_unlock(&vs->vs_mtx);
		sbuf_printf(&sb, "\n%ju.%09ju %s %u %u %ju %ju",
		    (uintmax_t)(te.te_ns / VSS_NS_PER_S),
		    (uintmax_t)(te.te_ns % VSS_NS_PER_S),
		    vss_trace_kind_name(te.te_kind), te.te_client, te.te_arg,
		    (uintmax_t)te.te_id, (uintmax_t)te.te_value);
	}
	error = sbuf_finish(&sb);
	sbuf_delete(&sb);
	return (error);
}

void
vssg_sysctl_attach(struct vssg *vs, device_t dev)
{
	struct sysctl_ctx_list *ctx = device_get_sysctl_ctx(dev);
	struct sysctl_oid_list *tree = SYSCTL_CHILDREN(
	    device_get_sysctl_tree(dev));
	struct sysctl_oid *oid;
	intptr_t i;

	for (i = 0; i < ITEM_NTEXTS; i++)
		SYSCTL_ADD_PROC(ctx, tree, OID_AUTO, vssg_items[i].it_name,
		    CTLTYPE_STRING | CTLFLAG_RD | CTLFLAG_MPSAFE, vs, i,
		    vssg_sysctl_item, "A", vssg_items[i].it_desc);
	for (; i < ITEM_NITEMS; i++)
		SYSCTL_ADD_PROC(ctx, tree, OID_AUTO, vssg_items[i].it_name,
		    CTLTYPE_U64 | CTLFLAG_RD | CTLFLAG_MPSAFE, vs, i,
		    vssg_sysctl_item, "QU", vssg_items[i].it_desc);
	SYSCTL_ADD_PROC(ctx, tree, OID_AUTO, "trace",
	    CTLTYPE_STRING | CTLFLAG_RD | CTLFLAG_MPSAFE | CTLFLAG_SKIP, vs, 0,
	    vssg_sysctl_trace, "A", "the last events");
	SYSCTL_ADD_PROC(ctx, tree, OID_AUTO, "besteffort",
	    CTLTYPE_INT | CTLFLAG_RW | CTLFLAG_MPSAFE, vs, 0,
	    vssg_sysctl_besteffort, "I",
	    "a silent application does not fail a request");
	oid = SYSCTL_ADD_NODE(ctx, tree, OID_AUTO, "limits",
	    CTLFLAG_RD | CTLFLAG_MPSAFE, NULL, "limits in milliseconds");
	for (i = 0; i < (intptr_t)nitems(vssg_limits); i++)
		SYSCTL_ADD_PROC(ctx, SYSCTL_CHILDREN(oid), OID_AUTO,
		    vssg_limits[i].lm_name,
		    CTLTYPE_UINT | CTLFLAG_RW | CTLFLAG_MPSAFE, vs, i,
		    vssg_sysctl_limit, "IU", vssg_limits[i].lm_desc);
}
