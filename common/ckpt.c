/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/* A checkpoint's words and its JSON, both ways (ckpt.h). */

#include "ckpt.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const ckpt_outcomes[CKPT_NOUTCOMES] = {
	[CKPT_OK] = "ok",
	[CKPT_CHECKED] = "checked",
	[CKPT_FAILED] = "failed",
	[CKPT_LOST] = "lost",
};

static const char *const ckpt_ops[CKPT_NOPS] = {
	[CKPT_CHECK] = "check",
	[CKPT_PREPARE] = "prepare",
	[CKPT_FREEZE] = "freeze",
	[CKPT_THAW] = "thaw",
};

static const char *const ckpt_results[CKPT_NRESULTS] = {
	[CKPT_R_NONE] = "none",
	[CKPT_R_OK] = "ok",
	[CKPT_R_FAILED] = "failed",
	[CKPT_R_SILENT] = "silent",
	[CKPT_R_WITHDRAWN] = "withdrawn",
	[CKPT_R_PENDING] = "pending",
	[CKPT_R_GONE] = "gone",
};

static const char *const ckpt_stages[CKPT_NSTAGES] = {
	[CKPT_S_CHECK] = "check",
	[CKPT_S_PREPARE] = "prepare",
	[CKPT_S_QUIESCE] = "quiesce",
	[CKPT_S_FREEZE] = "freeze",
	[CKPT_S_HOLD] = "hold",
	[CKPT_S_THAW] = "thaw",
	[CKPT_S_RESUME] = "resume",
};

static const char *const ckpt_fs_steps[CKPT_FS_NSTEPS] = {
	[CKPT_FS_FLUSH] = "flush",
	[CKPT_FS_FREEZE] = "freeze",
	[CKPT_FS_THAW] = "thaw",
};

static const char *const ckpt_causes[VSS_ENGINE_NCAUSES] = {
#define X(sym, text) [VSS_ENGINE_CAUSE_##sym] = #sym,
	VSS_ENGINE_CAUSES(X)
#undef X
};

/* What the administrator can do about a failure. */
static const char *const ckpt_remedies[VSS_ENGINE_NCAUSES] = {
	[VSS_ENGINE_CAUSE_NO_DAEMON] = "start hv_vss_daemon",
	[VSS_ENGINE_CAUSE_BUSY] = "if it comes again, see that only one "
				  "program on the host backs this machine up",
	[VSS_ENGINE_CAUSE_CLOSED] = "it ended or was killed: see its log",
	[VSS_ENGINE_CAUSE_LEFT] = "it ended or was killed: see its log",
	[VSS_ENGINE_CAUSE_SILENT] = "see that it runs and is not stopped; its "
				    "limit is a setting, and so is "
				    "apps=besteffort",
	[VSS_ENGINE_CAUSE_HOLD_EXPIRED] = "the host's snapshot takes longer "
					  "than the setting hold",
	[VSS_ENGINE_CAUSE_LIMIT] = "the setting of that name is the limit",
	[VSS_ENGINE_CAUSE_STUCK_UNDO] = "see what hv_vss_daemon says of the "
					"file system that does not thaw",
	[VSS_ENGINE_CAUSE_CHANNEL_LOST] = "the machine was saved, moved or "
					  "restored, or its backup service "
					  "switched off: back up again",
	[VSS_ENGINE_CAUSE_NEGOTIATED] = "the host's backup service was "
					"restarted: back up again",
	[VSS_ENGINE_CAUSE_OVERTAKEN] = "nothing is to be done",
};

static const char *
word(const char *const *words, uint32_t nwords, uint32_t i)
{
	return (i < nwords && words[i] != NULL ? words[i] : "unknown");
}

const char *
ckpt_outcome_name(enum ckpt_outcome outcome)
{
	return (word(ckpt_outcomes, CKPT_NOUTCOMES, outcome));
}

const char *
ckpt_op_name(uint32_t op)
{
	return (word(ckpt_ops, CKPT_NOPS, op));
}

const char *
ckpt_result_name(uint32_t result)
{
	return (word(ckpt_results, CKPT_NRESULTS, result));
}

const char *
ckpt_stage_name(uint32_t stage)
{
	return (word(ckpt_stages, CKPT_NSTAGES, stage));
}

const char *
ckpt_fs_step_name(uint32_t step)
{
	return (word(ckpt_fs_steps, CKPT_FS_NSTEPS, step));
}

const char *
ckpt_client_op_name(uint32_t op)
{
	switch (op) {
	case VSS_ENGINE_CHECK:
		return ("check");
	case VSS_ENGINE_FREEZE:
		return ("freeze");
	case VSS_ENGINE_THAW:
		return ("thaw");
	case VSS_ENGINE_PREPARE:
		return ("prepare");
	default:
		return ("none");
	}
}

const char *
ckpt_consistency(const struct ckpt *ck)
{
	if (ck->ck_outcome != CKPT_OK)
		return ("none");
	return (ck->ck_napps > 0 && ck->ck_nstale == 0 ? "application" :
							 "file-system");
}

void
ckpt_cause_name(uint32_t cause, char *buf, size_t len)
{
	snprintf(buf, len, "%s", word(ckpt_causes, VSS_ENGINE_NCAUSES, cause));
	for (; *buf != '\0'; buf++)
		*buf = *buf == '_' ? '-' : (char)tolower(*buf);
}

const char *
ckpt_remedy(const struct vss_engine_reason *er)
{
	if ((uint32_t)er->er_cause >= VSS_ENGINE_NCAUSES)
		return (NULL);
	if (er->er_cause == VSS_ENGINE_CAUSE_SILENT &&
	    er->er_kind == VSS_ENGINE_FS)
		return ("see its log, and that it runs and is not stopped; the "
			"limits prepare, fs and check are settings");
	return (ckpt_remedies[er->er_cause]);
}

void
ckpt_reason(const struct vss_engine_reason *er, char *buf, size_t len)
{
	const char *remedy = ckpt_remedy(er);
	bool asked = er->er_op != VSS_ENGINE_NONE;
	char who[128] = "";

	if (er->er_client != 0)
		snprintf(who, sizeof(who), "%s %s (pid %llu)%s%s%s ",
		    er->er_kind == VSS_ENGINE_FS ? "the freeze daemon" :
						   "application",
		    er->er_name[0] != '\0' ? er->er_name : "without a name",
		    (unsigned long long)er->er_pid, asked ? ", asked to " : "",
		    asked ? ckpt_client_op_name(er->er_op) : "",
		    asked ? "," : "");
	snprintf(buf, len, "%s%s%s%s%s%s%s", who,
	    vss_engine_cause_text(er->er_cause),
	    er->er_text[0] != '\0' ? ": \"" : "", er->er_text,
	    er->er_text[0] != '\0' ? "\"" : "", remedy != NULL ? "; " : "",
	    remedy != NULL ? remedy : "");
}

static uint64_t
span_ns(const struct ckpt_span *cp)
{
	return (cp->cp_begin_ns != 0 && cp->cp_end_ns > cp->cp_begin_ns ?
		cp->cp_end_ns - cp->cp_begin_ns :
		0);
}

uint64_t
ckpt_stall_ns(const struct ckpt *ck)
{
	uint64_t begin = 0, end = 0;

	for (uint32_t i = CKPT_S_QUIESCE; i < CKPT_NSTAGES; i++) {
		if (begin == 0)
			begin = ck->ck_stages[i].cp_begin_ns;
		if (ck->ck_stages[i].cp_end_ns > end)
			end = ck->ck_stages[i].cp_end_ns;
	}
	return (begin != 0 && end > begin ? end - begin : 0);
}

uint64_t
ckpt_hold_ns(const struct ckpt *ck)
{
	return (span_ns(&ck->ck_stages[CKPT_S_HOLD]));
}

/*
 * JSON.  Spans are told relative to the checkpoint's begin.
 */

static void
put_span(struct json_out *jo, const struct ckpt *ck, const char *key,
    const struct ckpt_span *cp)
{
	if (cp->cp_begin_ns == 0)
		return;
	json_open(jo, key, '{');
	json_ms(jo, "at_ms",
	    cp->cp_begin_ns > ck->ck_begin_ns ?
		cp->cp_begin_ns - ck->ck_begin_ns :
		0);
	if (cp->cp_end_ns != 0)
		json_ms(jo, "ms", span_ns(cp));
	if (cp->cp_result != CKPT_R_NONE)
		json_text(jo, "result", ckpt_result_name(cp->cp_result));
	json_close(jo, '}');
}

void
ckpt_json_reason(struct json_out *jo, const struct vss_engine_reason *er)
{
	char text[CKPT_REASON_MAX];

	if (er->er_cause == VSS_ENGINE_CAUSE_NONE) {
		json_text(jo, "reason", NULL);
		return;
	}
	json_open(jo, "reason", '{');
	ckpt_cause_name(er->er_cause, text, sizeof(text));
	json_text(jo, "cause", text);
	if (er->er_client != 0) {
		json_text(jo, "who",
		    er->er_kind == VSS_ENGINE_FS ? "daemon" : "application");
		json_text(jo, "name", er->er_name);
		json_number(jo, "client", er->er_client);
		json_number(jo, "pid", er->er_pid);
		json_text(jo, "asked", ckpt_client_op_name(er->er_op));
	}
	if (er->er_text[0] != '\0')
		json_text(jo, "said", er->er_text);
	json_text(jo, "remedy", ckpt_remedy(er));
	ckpt_reason(er, text, sizeof(text));
	json_text(jo, "text", text);
	json_close(jo, '}');
}

void
ckpt_json_head(struct json_out *jo, const struct ckpt *ck)
{
	json_open(jo, NULL, '{');
	if (ck->ck_id != 0)
		json_number(jo, "id", ck->ck_id);
	json_number(jo, "run", ck->ck_run);
	json_number(jo, "seq", ck->ck_seq);
	json_number(jo, "time_ms", ck->ck_wall_ms);
	json_number(jo, "begin_ns", ck->ck_begin_ns);
	json_ms(jo, "ms", ck->ck_end_ns - ck->ck_begin_ns);
	json_text(jo, "outcome", ckpt_outcome_name(ck->ck_outcome));
	json_text(jo, "consistency", ckpt_consistency(ck));
	json_bool(jo, "test", ck->ck_test);
	json_number(jo, "applications", ck->ck_napps);
	json_number(jo, "stale", ck->ck_nstale);
	json_ms(jo, "stall_ms", ckpt_stall_ns(ck));
	json_ms(jo, "hold_ms", ckpt_hold_ns(ck));
	ckpt_json_reason(jo, &ck->ck_why);
	json_open(jo, "host", '{');
	for (uint32_t i = 0; i < CKPT_NOPS; i++)
		put_span(jo, ck, ckpt_ops[i], &ck->ck_asked[i]);
	json_close(jo, '}');
	json_open(jo, "stages", '{');
	for (uint32_t i = 0; i < CKPT_NSTAGES; i++)
		put_span(jo, ck, ckpt_stages[i], &ck->ck_stages[i]);
	json_close(jo, '}');
	json_open(jo, "clients", '[');
}

void
ckpt_json_client(struct json_out *jo, const struct ckpt *ck, uint32_t i)
{
	const struct ckpt_client *cc = &ck->ck_clients[i];

	json_open(jo, NULL, '{');
	json_text(jo, "name", cc->cc_name);
	json_text(jo, "kind", cc->cc_daemon ? "daemon" : "application");
	json_number(jo, "client", cc->cc_serial);
	json_number(jo, "pid", cc->cc_pid);
	json_number(jo, "level", cc->cc_level);
	json_bool(jo, "stale", cc->cc_stale);
	for (uint32_t op = 0; op < CKPT_NOPS; op++)
		put_span(jo, ck, ckpt_ops[op], &cc->cc_spans[op]);
	json_close(jo, '}');
}

static void
put_fs(struct json_out *jo, const struct ckpt *ck, const struct ckpt_fs *cf)
{
	json_open(jo, NULL, '{');
	json_text(jo, "mount", cf->cf_point);
	json_text(jo, "type", cf->cf_type);
	json_text(jo, "action", cf->cf_frozen ? "freeze" : "sync");
	json_number(jo, "step", cf->cf_level + 1);
	for (uint32_t i = 0; i < CKPT_FS_NSTEPS; i++)
		put_span(jo, ck, ckpt_fs_steps[i], &cf->cf_spans[i]);
	if (cf->cf_errno != 0) {
		json_text(jo, "failed", ckpt_fs_step_name(cf->cf_failed));
		json_number(jo, "errno", (uint64_t)cf->cf_errno);
		json_text(jo, "error", strerror(cf->cf_errno));
	}
	json_close(jo, '}');
}

void
ckpt_json_tail(struct json_out *jo, const struct ckpt *ck)
{
	json_close(jo, ']');
	if (ck->ck_nleft != 0)
		json_number(jo, "clients_left_out", ck->ck_nleft);
	if (ck->ck_ndisks != 0) {
		json_number(jo, "disks_named", ck->ck_ndisks);
		json_text(jo, "disks", ck->ck_disks);
		json_bool(jo, "lun_aware", ck->ck_by_disk);
	}
	if (ck->ck_fs_left != 0)
		json_number(jo, "file_systems_left_out", ck->ck_fs_left);
	json_open(jo, "file_systems", '[');
	for (uint32_t i = 0; i < ck->ck_nfs; i++)
		put_fs(jo, ck, &ck->ck_fs[i]);
	json_close(jo, ']');
	json_close(jo, '}');
}

void
ckpt_json(struct json_out *jo, const struct ckpt *ck)
{
	ckpt_json_head(jo, ck);
	for (uint32_t i = 0; i < ck->ck_nclients; i++)
		ckpt_json_client(jo, ck, i);
	ckpt_json_tail(jo, ck);
}

size_t
ckpt_json_max(const struct ckpt *ck)
{
	size_t max = 3 * CKPT_PIECE_MAX;

	max += ck->ck_nclients * (size_t)1024;
	for (uint32_t i = 0; i < ck->ck_nfs; i++)
		max += 6 * strlen(ck->ck_fs[i].cf_point) + 768;
	return (max);
}

static uint32_t
which(const char *const *words, uint32_t nwords, const struct json_value *jv)
{
	for (uint32_t i = 0; i < nwords; i++)
		if (words[i] != NULL && json_is(jv, words[i]))
			return (i);
	return (0);
}

/* A sum that stays where it would begin anew. */
static uint64_t
later(uint64_t at_ns, uint64_t ns)
{
	return (ns > UINT64_MAX - at_ns ? UINT64_MAX : at_ns + ns);
}

static void
get_span(struct ckpt_span *cp, const struct ckpt *ck,
    const struct json_value *jv, const char *key)
{
	const struct json_value *ms;

	jv = json_get(jv, key);
	if (jv == NULL)
		return;
	cp->cp_begin_ns = later(
	    ck->ck_begin_ns, json_ns(json_get(jv, "at_ms")));
	ms = json_get(jv, "ms");
	if (ms != NULL)
		cp->cp_end_ns = later(cp->cp_begin_ns, json_ns(ms));
	cp->cp_result = which(
	    ckpt_results, CKPT_NRESULTS, json_get(jv, "result"));
}

static void
get_reason(struct vss_engine_reason *er, const struct json_value *jv)
{
	static const enum vss_engine_op ops[] = { VSS_ENGINE_CHECK,
		VSS_ENGINE_PREPARE, VSS_ENGINE_FREEZE, VSS_ENGINE_THAW };
	char name[32];

	if (jv == NULL || jv->jv_type != JSON_OBJECT)
		return;
	for (uint32_t i = 0; i < VSS_ENGINE_NCAUSES; i++) {
		ckpt_cause_name(i, name, sizeof(name));
		if (json_is(json_get(jv, "cause"), name))
			er->er_cause = (enum vss_engine_cause)i;
	}
	er->er_client = (uint32_t)json_whole(json_get(jv, "client"));
	er->er_kind = json_is(json_get(jv, "who"), "daemon") ? VSS_ENGINE_FS :
							       VSS_ENGINE_APP;
	er->er_pid = json_whole(json_get(jv, "pid"));
	json_copy(json_get(jv, "name"), er->er_name, sizeof(er->er_name));
	json_copy(json_get(jv, "said"), er->er_text, sizeof(er->er_text));
	for (size_t i = 0; i < VSS_NELEM(ops); i++)
		if (json_is(json_get(jv, "asked"), ckpt_client_op_name(ops[i])))
			er->er_op = ops[i];
}

static void
get_client(struct ckpt *ck, const struct json_value *jv)
{
	struct ckpt_client *cc;

	if (ck->ck_nclients == CKPT_CLIENTS_MAX) {
		ck->ck_nleft++;
		return;
	}
	cc = &ck->ck_clients[ck->ck_nclients++];
	json_copy(json_get(jv, "name"), cc->cc_name, sizeof(cc->cc_name));
	cc->cc_daemon = json_is(json_get(jv, "kind"), "daemon");
	cc->cc_serial = (uint32_t)json_whole(json_get(jv, "client"));
	cc->cc_pid = json_whole(json_get(jv, "pid"));
	cc->cc_level = (uint32_t)json_whole(json_get(jv, "level"));
	cc->cc_stale = json_true(json_get(jv, "stale"));
	for (uint32_t op = 0; op < CKPT_NOPS; op++)
		get_span(&cc->cc_spans[op], ck, jv, ckpt_ops[op]);
}

static void
get_fs(struct ckpt *ck, const struct json_value *jv)
{
	struct ckpt_fs *cf = &ck->ck_fs[ck->ck_nfs++];

	json_copy(json_get(jv, "mount"), cf->cf_point, sizeof(cf->cf_point));
	json_copy(json_get(jv, "type"), cf->cf_type, sizeof(cf->cf_type));
	cf->cf_frozen = json_is(json_get(jv, "action"), "freeze");
	cf->cf_level = (uint32_t)json_whole(json_get(jv, "step"));
	cf->cf_level -= cf->cf_level > 0 ? 1 : 0;
	for (uint32_t i = 0; i < CKPT_FS_NSTEPS; i++)
		get_span(&cf->cf_spans[i], ck, jv, ckpt_fs_steps[i]);
	cf->cf_errno = (int32_t)json_whole(json_get(jv, "errno"));
	cf->cf_failed = which(
	    ckpt_fs_steps, CKPT_FS_NSTEPS, json_get(jv, "failed"));
}

static bool
get_lists(struct ckpt *ck, const struct json_value *jv)
{
	const struct json_value *list, *at;
	size_t n = 0;

	list = json_get(jv, "clients");
	for (at = json_first(list); at != NULL; at = json_next(list, at))
		get_client(ck, at);
	ck->ck_nleft += (uint32_t)json_whole(json_get(jv, "clients_left_out"));
	ck->ck_fs_left = (uint32_t)json_whole(
	    json_get(jv, "file_systems_left_out"));
	list = json_get(jv, "file_systems");
	for (at = json_first(list); at != NULL; at = json_next(list, at))
		n++;
	if (n == 0)
		return (true);
	ck->ck_fs = calloc(n, sizeof(*ck->ck_fs));
	if (ck->ck_fs == NULL)
		return (false);
	for (at = json_first(list); at != NULL; at = json_next(list, at))
		get_fs(ck, at);
	return (true);
}

bool
ckpt_read(struct ckpt *ck, const struct json_value *jv)
{
	memset(ck, 0, sizeof(*ck));
	if (json_get(jv, "seq") == NULL || json_get(jv, "outcome") == NULL)
		return (false);
	ck->ck_id = json_whole(json_get(jv, "id"));
	ck->ck_run = json_whole(json_get(jv, "run"));
	ck->ck_seq = json_whole(json_get(jv, "seq"));
	ck->ck_wall_ms = json_whole(json_get(jv, "time_ms"));
	ck->ck_begin_ns = json_whole(json_get(jv, "begin_ns"));
	ck->ck_end_ns = later(ck->ck_begin_ns, json_ns(json_get(jv, "ms")));
	ck->ck_outcome = (enum ckpt_outcome)which(
	    ckpt_outcomes, CKPT_NOUTCOMES, json_get(jv, "outcome"));
	/* What is not known is no success. */
	if (ck->ck_outcome == CKPT_OK &&
	    !json_is(json_get(jv, "outcome"), ckpt_outcomes[CKPT_OK]))
		ck->ck_outcome = CKPT_FAILED;
	ck->ck_test = json_true(json_get(jv, "test"));
	ck->ck_napps = (uint32_t)json_whole(json_get(jv, "applications"));
	ck->ck_nstale = (uint32_t)json_whole(json_get(jv, "stale"));
	ck->ck_ndisks = (uint32_t)json_whole(json_get(jv, "disks_named"));
	json_copy(json_get(jv, "disks"), ck->ck_disks, sizeof(ck->ck_disks));
	ck->ck_by_disk = json_true(json_get(jv, "lun_aware"));
	get_reason(&ck->ck_why, json_get(jv, "reason"));
	for (uint32_t i = 0; i < CKPT_NOPS; i++)
		get_span(
		    &ck->ck_asked[i], ck, json_get(jv, "host"), ckpt_ops[i]);
	for (uint32_t i = 0; i < CKPT_NSTAGES; i++)
		get_span(&ck->ck_stages[i], ck, json_get(jv, "stages"),
		    ckpt_stages[i]);
	return (get_lists(ck, jv));
}

bool
ckpt_parse(struct ckpt *ck, const char *line, size_t len)
{
	struct json_doc jd;
	bool ok = false;

	memset(ck, 0, sizeof(*ck));
	if (json_parse(&jd, line, len) == 0)
		ok = ckpt_read(ck, jd.jd_values);
	json_free(&jd);
	return (ok);
}

void
ckpt_free(struct ckpt *ck)
{
	free(ck->ck_fs);
	ck->ck_fs = NULL;
	ck->ck_nfs = 0;
}
