/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The example in C++ with callbacks that throw, for t_lib.py: whatever it is,
 * it does not pass through the library, for which this stands in, and refuses.
 */

#define main participant_main
#include "../../examples/participant.cc"
#undef main

static hv_vss_ops kept;
static void *kept_ctx;
static std::string said;

int
hv_vss_open(hv_vss **, const char *, int, const hv_vss_ops *ops, void *ctx)
{
	kept = *ops;
	kept_ctx = ctx;
	return 0;
}

int
hv_vss_close(hv_vss *)
{
	return 0;
}

int
hv_vss_fd(const hv_vss *)
{
	return -1;
}

int
hv_vss_dispatch(hv_vss *)
{
	return 0;
}

int
hv_vss_not_now(hv_vss *, const char *reason)
{
	said = reason;
	return HV_VSS_NO;
}

class Thrower : public Participant {
public:
	Thrower()
	    : Participant("thrower", nullptr)
	{
	}
	bool known = false;

private:
	void fail()
	{
		if (known)
			throw std::runtime_error("the till is open");
		throw 1;
	}
	void quiesce() override
	{
		fail();
	}
	void resume() override
	{
		fail();
	}
};

int
main()
{
	static Thrower thrower;

	for (auto callback : { kept.vo_quiesce, kept.vo_resume }) {
		thrower.known = true;
		if (callback(nullptr, nullptr, kept_ctx) != HV_VSS_NO ||
		    said != "the till is open")
			return 1;
		thrower.known = false;
		if (callback(nullptr, nullptr, kept_ctx) != HV_VSS_NO)
			return 1;
	}
	return 0;
}
