/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * What comes back: replies are matched to requests by transaction id, checked,
 * judged and printed.  A reply that no guest may send breaks the link.
 */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "host.h"

#define REPLY_FLAGS (VMBUS_ICMSG_F_TRANSACTION | VMBUS_ICMSG_F_RESPONSE)

static const struct vmbus_icmsg_version reply_frameworks[] = { { 3, 0 },
	{ 1, 0 } };
static const struct vmbus_icmsg_version reply_messages[] = { { 7, 0 }, { 6, 0 },
	{ 5, 0 } };

/* What a host offers, in descending preference. */
const struct vmbus_icmsg_versions host_versions = { reply_frameworks,
	reply_messages, VSS_NELEM(reply_frameworks),
	VSS_NELEM(reply_messages) };

/* Prints one request's result; status is NULL where no reply came. */
static void
reply_print(
    const struct host *ho, const struct host_req *hr, const uint32_t *status)
{
	double ms;

	/* NEGOTIATE by itself is no action: only its failure is said. */
	if (hr->hr_n == 0)
		return;
	ms = (double)(host_now() - hr->hr_sent_ns) / 1e6;
	if (ho->ho_json) {
		printf("{\"n\":%" PRIu32 ",\"op\":\"%s\",\"reply\":\"%s\"",
		    hr->hr_n, host_op_name(hr->hr_op),
		    status == NULL ? "none" :
			hr->hr_ok  ? "ok" :
				     "fail");
		if (status != NULL)
			printf(",\"status\":\"0x%08" PRIx32 "\"", *status);
		printf(",\"ms\":%.3f}\n", ms);
	} else if (status == NULL)
		printf("%" PRIu32 " %s: no reply, %.1f ms\n", hr->hr_n,
		    host_op_name(hr->hr_op), ms);
	else
		printf("%" PRIu32 " %s: %s, status 0x%08" PRIx32 ", %.1f ms\n",
		    hr->hr_n, host_op_name(hr->hr_op),
		    hr->hr_ok ? "ok" : "fail", *status, ms);
	fflush(stdout);
}

static void
reply_finish(struct host *ho, struct host_req *hr, bool ok, uint32_t status)
{
	hr->hr_state = HOST_REQ_DONE;
	hr->hr_ok = ok;
	reply_print(ho, hr, &status);
	if (!ok)
		host_result(ho, HOST_EXIT_FAIL);
	if (!ok && hr->hr_n == 0)
		host_warn(ho,
		    "NEGOTIATE: the guest agrees to no version (status 0x%08x)",
		    status);
}

void
host_done(struct host *ho, struct host_req *hr, uint32_t status)
{
	reply_finish(ho, hr, status == VMBUS_ICMSG_S_OK, status);
}

void
host_give_up(struct host *ho, struct host_req *hr)
{
	bool unsent = hr->hr_state == HOST_REQ_WAITS;

	hr->hr_state = unsent ? HOST_REQ_UNSENT : HOST_REQ_GIVEN_UP;
	reply_print(ho, hr, NULL);
	if (unsent && !ho->ho_lost)
		host_warn(ho,
		    "%s could not be sent: what was before it is still with "
		    "the guest",
		    host_op_name(hr->hr_op));
	if (hr->hr_op == HOST_RAW && !unsent && !ho->ho_lost)
		return;
	host_result(ho, HOST_EXIT_NONE);
	if (hr->hr_n == 0 && !ho->ho_lost)
		host_warn(ho, "NEGOTIATE: no reply in %.3g s",
		    (double)hr->hr_limit_ns / 1e9);
}

static bool
reply_was_offered(const struct vmbus_icmsg_agreed *agreed)
{
	const struct vmbus_icmsg_version *v;
	bool framework = false, message = false;
	uint32_t i;

	for (i = 0; i < host_versions.ivs_nframework; i++) {
		v = &host_versions.ivs_framework[i];
		framework |= memcmp(v, &agreed->ia_framework, sizeof(*v)) == 0;
	}
	for (i = 0; i < host_versions.ivs_nmessage; i++) {
		v = &host_versions.ivs_message[i];
		message |= memcmp(v, &agreed->ia_message, sizeof(*v)) == 0;
	}
	return (framework && message);
}

/* The answer to NEGOTIATE: what is wrong with it, or NULL with *ok set. */
static const char *
reply_negotiate(struct host *ho, const uint8_t *pkt, uint32_t len, bool *ok)
{
	struct vmbus_icmsg_agreed agreed;
	int error;

	error = vmbus_icmsg_answer(pkt, len, &agreed);
	*ok = error == 0;
	if (error == ENOTSUP)
		return (NULL);
	if (error != 0)
		return ("is no answer to NEGOTIATE");
	if (!reply_was_offered(&agreed))
		return ("chooses versions that were not offered");
	ho->ho_agreed = agreed;
	return (NULL);
}

/*
 * What is wrong with a reply's form, or NULL with its headers in *im.  A guest
 * echoes the request, so that what was malformed there may come back.
 */
static const char *
reply_breach(const struct host_req *hr, const uint8_t *pkt, uint32_t len,
    struct vmbus_icmsg *im)
{
	struct vmbus_icmsg sent;

	if (vmbus_icmsg_decode(pkt, len, im) != 0)
		return ("has no whole headers");
	if (vmbus_icmsg_decode(hr->hr_pkt, hr->hr_len, &sent) != 0)
		return ("answers what had no whole headers");
	if (im->im_flags != REPLY_FLAGS)
		return ("has not the flags of a response");
	if (im->im_type != sent.im_type)
		return ("is of another type than its request");
	if (im->im_xid != sent.im_xid)
		return ("has another IC transaction id than its request");
	if (hr->hr_op == HOST_RAW)
		return (NULL);
	if (im->im_size > im->im_len - VMBUS_ICMSG_HDRS_LEN)
		return ("claims more bytes than it has");
	if (im->im_type == VMBUS_ICMSG_VSS &&
	    (im->im_len < VSS_WIRE_MIN_LEN ||
		pkt[VMBUS_ICMSG_O_BODY] != hr->hr_pkt[VMBUS_ICMSG_O_BODY]))
		return ("is of another operation than its request");
	return (NULL);
}

/*
 * A reply that answers nothing.  Returns why, or NULL when it is only late,
 * which it may be once.
 */
static const char *
reply_unexpected(struct host *ho, struct host_req *hr, uint64_t xactid)
{
	if (hr == NULL)
		return ("answers no request");
	if (hr->hr_link != ho->ho_link)
		return ("answers a request from before the rescind");
	if (hr->hr_state == HOST_REQ_DONE || hr->hr_state == HOST_REQ_LATE)
		return ("is the second one");
	if (hr->hr_state == HOST_REQ_WAITS || hr->hr_state == HOST_REQ_UNSENT)
		return ("answers what was not sent");
	host_warn(ho,
	    "a late reply to %s (transaction %" PRIu64
	    ") came %.1f ms after it was sent; ignored",
	    host_op_name(hr->hr_op), xactid,
	    (double)(host_now() - hr->hr_sent_ns) / 1e6);
	hr->hr_state = HOST_REQ_LATE;
	return (NULL);
}

void
host_packet(struct host *ho, uint64_t xactid, const uint8_t *pkt, uint32_t len)
{
	struct vmbus_icmsg im;
	struct host_req *hr;
	const char *breach;
	char why[128];
	bool ok;

	hr = xactid >= 1 && xactid <= ho->ho_nreqs ? ho->ho_reqs[xactid - 1] :
						     NULL;
	if (hr == NULL || hr->hr_state != HOST_REQ_SENT ||
	    hr->hr_link != ho->ho_link) {
		breach = reply_unexpected(ho, hr, xactid);
		if (breach == NULL)
			return;
	} else {
		breach = reply_breach(hr, pkt, len, &im);
		ok = breach == NULL && im.im_status == VMBUS_ICMSG_S_OK;
		if (breach == NULL && hr->hr_op == HOST_NEGOTIATE)
			breach = reply_negotiate(ho, pkt, len, &ok);
		if (breach == NULL) {
			reply_finish(ho, hr, ok, im.im_status);
			return;
		}
	}
	snprintf(why, sizeof(why), "the guest's reply to %s %" PRIu64 " %s",
	    hr != NULL ? host_op_name(hr->hr_op) : "transaction", xactid,
	    breach);
	host_link_lost(ho, why);
}

void
host_link_opened(struct host *ho)
{
	ho->ho_link++;
}

void
host_link_lost(struct host *ho, const char *why)
{
	struct host_req *hr;
	uint64_t i;

	if (ho->ho_lost)
		return;
	ho->ho_lost = true;
	host_warn(ho, "%s", why);
	host_result(ho, HOST_EXIT_USAGE);
	for (i = 0; i < ho->ho_nreqs; i++) {
		hr = ho->ho_reqs[i];
		if (hr->hr_state == HOST_REQ_SENT ||
		    hr->hr_state == HOST_REQ_WAITS)
			host_give_up(ho, hr);
	}
}
