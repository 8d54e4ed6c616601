/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * One open of a device: queue, ids and staleness (client.h).  Touches the
 * client it is given and nothing else.
 */

#include "client.h"

void
vss_client_copy_text(char *to, size_t cap, const char *from, size_t max)
{
	size_t i;

	for (i = 0; i + 1 < cap && i < max && from[i] != '\0'; i++)
		to[i] = from[i] < ' ' || from[i] > '~' ? '?' : from[i];
	to[i] = '\0';
}

void
vss_client_open(struct vss_engine_client *cl, uint32_t serial,
    enum vss_engine_kind kind, const struct vss_engine_who *who)
{
	memset(cl, 0, sizeof(*cl));
	cl->cl_serial = serial;
	cl->cl_kind = kind;
	cl->cl_who = *who;
	vss_client_copy_text(cl->cl_who.ew_comm, sizeof(cl->cl_who.ew_comm),
	    who->ew_comm, sizeof(who->ew_comm));
	memcpy(cl->cl_name, cl->cl_who.ew_comm, sizeof(cl->cl_name));
	cl->cl_level = cl->cl_next_level = VSS_ENGINE_LEVEL_PLAIN;
}

/* From now on answers to op are ignored. */
static void
end_ids(struct vss_engine_client *cl, enum vss_engine_op op)
{
	uint32_t i;

	for (i = 0; i < VSS_ENGINE_IDS; i++)
		if (cl->cl_ids[i].ci_op == op &&
		    cl->cl_ids[i].ci_state != VSS_CLIENT_ID_UNUSED)
			cl->cl_ids[i].ci_state = VSS_CLIENT_ID_OVER;
}

void
vss_client_notify(
    struct vss_engine_client *cl, enum vss_engine_op op, uint64_t id)
{
	struct vss_client_note *cn;

	cn = op == VSS_ENGINE_THAW ? &cl->cl_thaw : &cl->cl_note;
	/* A THAW that was never READ still says all that a new one would. */
	if (op != VSS_ENGINE_THAW || cn->cn_id == 0) {
		cn->cn_id = id;
		cn->cn_op = op;
		cn->cn_over = false;
	}
	if (op == VSS_ENGINE_THAW || op == VSS_ENGINE_FREEZE)
		end_ids(cl, VSS_ENGINE_FREEZE);
	cl->cl_asked_op = op;
	cl->cl_asked_id = cn->cn_id;
	cl->cl_wake = true;
}

bool
vss_client_readable(const struct vss_engine_client *cl)
{
	return (cl->cl_thaw.cn_id != 0 || cl->cl_note.cn_id != 0);
}

void
vss_client_read(struct vss_engine_client *cl, struct vss_engine_msg *em)
{
	struct vss_client_note *cn;
	struct vss_client_id *ci;

	em->em_op = VSS_ENGINE_NONE;
	em->em_status = 1;
	em->em_id = 0;
	cn = cl->cl_thaw.cn_id != 0 ? &cl->cl_thaw : &cl->cl_note;
	if (cn->cn_id == 0)
		return;
	em->em_op = cn->cn_op;
	em->em_status = 0;
	em->em_id = cn->cn_id;
	ci = &cl->cl_ids[cl->cl_nids++ % VSS_ENGINE_IDS];
	ci->ci_id = cn->cn_id;
	ci->ci_op = cn->cn_op;
	ci->ci_state = cn->cn_over ? VSS_CLIENT_ID_OVER :
				     VSS_CLIENT_ID_OUTSTANDING;
	if (cn->cn_op == VSS_ENGINE_FREEZE)
		cl->cl_freeze = VSS_CLIENT_TOLD;
	cn->cn_id = 0;
}

static struct vss_client_id *
find_id(struct vss_engine_client *cl, uint64_t id)
{
	uint32_t i;

	for (i = 0; i < VSS_ENGINE_IDS; i++)
		if (cl->cl_ids[i].ci_state != VSS_CLIENT_ID_UNUSED &&
		    cl->cl_ids[i].ci_id == id)
			return (&cl->cl_ids[i]);
	return (NULL);
}

enum vss_client_answer
vss_client_write(struct vss_engine_client *cl, const struct vss_engine_msg *em)
{
	struct vss_client_id *ci;

	ci = find_id(cl, em->em_id);
	if (ci == NULL || em->em_op != (uint32_t)ci->ci_op)
		return (VSS_CLIENT_UNKNOWN);
	cl->cl_stale = false;
	cl->cl_silences = 0;
	if (ci->ci_state == VSS_CLIENT_ID_OUTSTANDING) {
		ci->ci_state = VSS_CLIENT_ID_ANSWERED;
		return (VSS_CLIENT_ANSWERED);
	}
	/*
	 * An acknowledged FREEZE may be taken back until THAW is queued, which
	 * sets its id to over.
	 */
	if (ci->ci_state == VSS_CLIENT_ID_ANSWERED &&
	    ci->ci_op == VSS_ENGINE_FREEZE && em->em_status != 0 &&
	    cl->cl_counted) {
		ci->ci_state = VSS_CLIENT_ID_OVER;
		return (VSS_CLIENT_BROKE);
	}
	return (VSS_CLIENT_IGNORED);
}

bool
vss_client_stage_over(struct vss_engine_client *cl, enum vss_engine_op op)
{
	cl->cl_awaited = false;
	if (cl->cl_note.cn_id != 0 && cl->cl_note.cn_op == op) {
		if (op == VSS_ENGINE_CHECK && cl->cl_stale) {
			cl->cl_note.cn_over = true;
			return (false);
		}
		cl->cl_note.cn_id = 0;
		return (true);
	}
	/* An acknowledged FREEZE lasts: it may still be taken back. */
	if (op != VSS_ENGINE_FREEZE || !cl->cl_counted)
		end_ids(cl, op);
	return (false);
}

bool
vss_client_outstanding(const struct vss_engine_client *cl)
{
	uint32_t i;

	for (i = 0; i < VSS_ENGINE_IDS; i++)
		if (cl->cl_ids[i].ci_state == VSS_CLIENT_ID_OUTSTANDING &&
		    cl->cl_ids[i].ci_op != VSS_ENGINE_THAW &&
		    cl->cl_ids[i].ci_id == cl->cl_asked_id)
			return (true);
	return (false);
}

bool
vss_client_silent(struct vss_engine_client *cl, bool at_once)
{
	if (cl->cl_stale)
		return (false);
	cl->cl_silences++;
	cl->cl_stale = at_once || cl->cl_silences >= VSS_CLIENT_SILENCES;
	return (cl->cl_stale);
}
