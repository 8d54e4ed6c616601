/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * What a row of engine.def does: who is asked and awaited, and how requests are
 * answered.  An action raises no event itself and writes no state; stage.c
 * finds out what follows.  Engine.c and stage.c alone include this.
 */

#ifndef _ACTION_H_
#define _ACTION_H_

#include "engine.h"

/* How long an undo makes requests wait, and waits for an application. */
#define VSS_ACTION_PATIENCE_NS (5 * VSS_NS_PER_S)

/* Slot 0 is the file-system device's client, the others applications'. */
#define VSS_FS(e) (&(e)->e_clients[0])

#define VSS_FOREACH_CLIENT(cl, e)                                          \
	for ((cl) = (e)->e_clients;                                        \
	     (cl) <= &(e)->e_clients[(e)->e_conf->ec_max_clients]; (cl)++) \
		if ((cl)->cl_serial == 0) {                                \
		} else

#define VSS_FOREACH_APP(cl, e)                        \
	VSS_FOREACH_CLIENT(cl, e)                     \
		if ((cl)->cl_kind == VSS_ENGINE_FS) { \
		} else

/* One function for each action's name, vss_action_NAME. */
#define ROW(state, event, action, next) \
	void vss_action_##action(struct vss_engine *e);
#include "engine.def"

void vss_action_trace(struct vss_engine *e, enum vss_trace_kind kind,
    const struct vss_engine_client *cl, uint32_t arg, uint64_t id);

/* Says in e_why why the next event is raised; cl may be NULL. */
void vss_action_why(struct vss_engine *e, enum vss_engine_cause cause,
    const struct vss_engine_client *cl);

/* Whether rq (may be NULL) asks for this operation. */
bool vss_action_is_op(const struct vss_request *rq, uint8_t op);

/*
 * Answers a request that is not ready yet; a failure's reason is e_why, or the
 * cause given.
 */
void vss_action_answer(
    struct vss_engine *e, struct vss_request *rq, uint32_t status);
void vss_action_fail(struct vss_engine *e, struct vss_request *rq);
void vss_action_fail_because(
    struct vss_engine *e, struct vss_request *rq, enum vss_engine_cause cause);

/* NULL: nobody is awaited. */
struct vss_engine_client *vss_action_first_awaited(struct vss_engine *e);

/*
 * The lowest level above the current one that takes part, and the highest that
 * is still owed THAW; -1: none.
 */
int32_t vss_action_next_level_down(struct vss_engine *e);
int32_t vss_action_next_level_up(struct vss_engine *e);

#endif /* _ACTION_H_ */
