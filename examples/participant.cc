/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * participant.c in C++: appends numbered lines to a file, and while it is at
 * rest the file is complete on the disk and nothing is added to it.
 *
 *	c++ -o participant participant.cc $(pkg-config --cflags --libs libhv_vss)
 *	participant FILE [DEVICE]
 */

#include <fcntl.h>
#include <hv_vss.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <iostream>
#include <stdexcept>
#include <string>
#include <system_error>

/* Takes part as long as it lives; what derives from it says how. */
class Participant {
public:
	Participant(const char *name, const char *device)
	{
		hv_vss_ops ops {};

		/* No exception may pass through the library, which is C. */
		ops.vo_quiesce = [](hv_vss *v, const hv_vss_request *,
				     void *ctx) {
			try {
				static_cast<Participant *>(ctx)->quiesce();
				return HV_VSS_YES;
			} catch (const std::exception &e) {
				return hv_vss_not_now(v, e.what());
			} catch (...) {
				return HV_VSS_NO;
			}
		};
		ops.vo_resume = [](hv_vss *v, const hv_vss_request *,
				    void *ctx) {
			try {
				static_cast<Participant *>(ctx)->resume();
				return HV_VSS_YES;
			} catch (const std::exception &e) {
				return hv_vss_not_now(v, e.what());
			} catch (...) {
				return HV_VSS_NO;
			}
		};
		ops.vo_link = [](hv_vss *, int error, void *) {
			std::cout << (error == 0 ? "takes part" :
						   std::strerror(error))
				  << std::endl;
		};
		ops.vo_device = device;
		int error = hv_vss_open(
		    &vss_, name, HV_VSS_APP_LEVEL, &ops, this);
		if (error != 0)
			throw std::system_error(error, std::generic_category(),
			    "cannot take part in backups");
	}
	Participant(const Participant &) = delete;
	Participant &operator=(const Participant &) = delete;

	int fd() const
	{
		return hv_vss_fd(vss_);
	}
	void dispatch()
	{
		hv_vss_dispatch(vss_);
	}

protected:
	/* Before what it needs is gone: a resume may be due still. */
	void close()
	{
		hv_vss_close(vss_);
		vss_ = nullptr;
	}
	virtual ~Participant()
	{
		if (vss_ != nullptr)
			hv_vss_close(vss_);
	}
	virtual void quiesce() = 0;
	virtual void resume() = 0;

private:
	hv_vss *vss_ = nullptr;
};

class Ledger : public Participant {
public:
	Ledger(const char *path, const char *device)
	    : Participant("ledger", device),
	      fd_(open(path, O_WRONLY | O_CREAT | O_APPEND, 0666))
	{
		if (fd_ < 0)
			throw std::system_error(
			    errno, std::generic_category(), path);
	}
	~Ledger() override
	{
		close();
		::close(fd_);
	}

	void append()
	{
		if (at_rest_)
			return;
		std::string line = "line " + std::to_string(++lines_) + "\n";
		if (write(fd_, line.data(), line.size()) !=
		    static_cast<ssize_t>(line.size()))
			throw std::system_error(
			    errno, std::generic_category(), "write");
	}

private:
	void quiesce() override
	{
		if (fsync(fd_) != 0)
			throw std::system_error(
			    errno, std::generic_category(), "fsync");
		at_rest_ = true;
		std::cout << "at rest with " << lines_ << " lines" << std::endl;
	}
	void resume() override
	{
		at_rest_ = false;
		std::cout << "goes on" << std::endl;
	}

	int fd_;
	unsigned long lines_ = 0;
	bool at_rest_ = false;
};

static volatile std::sig_atomic_t ended;

int
main(int argc, char **argv)
try {
	if (argc < 2)
		throw std::invalid_argument(
		    "usage: participant FILE [DEVICE]");
	std::signal(SIGTERM, [](int) { ended = 1; });
	std::signal(SIGINT, [](int) { ended = 1; });

	Ledger ledger(argv[1], argc > 2 ? argv[2] : nullptr);
	pollfd pfd = { ledger.fd(), POLLIN, 0 };
	while (ended == 0) {
		if (poll(&pfd, 1, 10) > 0)
			ledger.dispatch();
		ledger.append();
	}
	return 0;
} catch (const std::exception &e) {
	std::cerr << e.what() << std::endl;
	return 1;
}
