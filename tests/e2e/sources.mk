# Sources, objects and link rules of tests/e2e/.

# A program as users of hv_vss(4) write it, against the installed header alone.
E2E_PROGS+= $(OUT)/tests/appvss_client
$(OUT)/tests/appvss_client: $(TOP)/examples/appvss_client.c
	$(CC) $(WARN) $(WERROR) -I$(TOP)/include -o $@ \
	    $(TOP)/examples/appvss_client.c

# What t_lib.py tells what to do.
E2E_PROGS+= $(OUT)/tests/libpart
$(OUT)/tests/libpart: libpart.o $(OUT)/lib/libhv_vss.a
	$(CC) $(LDFLAGS_ALL) -Wl,--wrap=ioctl -o $@ libpart.o \
	    $(OUT)/lib/libhv_vss.a -pthread

# The examples as the manual page has them built, and the manual page's own.
CXX= c++
GO= go
RUSTC= rustc
EXAMPLE_FLAGS= -std=c11 $(OS_CPPFLAGS) $(WARN) $(WERROR) $(VARIANT_CFLAGS) \
	-I$(TOP)/include $(LDFLAGS_ALL) -L$(OUT)/lib
E2E_PROGS+= $(OUT)/tests/participant $(OUT)/tests/participant.py
E2E_PROGS+= $(OUT)/tests/libhv_vss_example
$(OUT)/tests/participant: $(TOP)/examples/participant.c $(OUT)/lib/libhv_vss.so.1
	$(CC) $(EXAMPLE_FLAGS) -Wl,-rpath,'$$ORIGIN/../lib' -o $@ \
	    $(TOP)/examples/participant.c -lhv_vss
$(OUT)/tests/participant.py: $(TOP)/examples/participant.py
	cp $(TOP)/examples/participant.py $@
# In other languages, where their compilers are; t_lib.py says where not.
E2E_PROGS+= $(OUT)/tests/participant_cc
$(OUT)/tests/participant_cc: $(TOP)/examples/participant.cc \
    $(OUT)/lib/libhv_vss.so.1
	! command -v $(CXX) >/dev/null || $(CXX) -std=c++17 -Wall -Wextra \
	    $(WERROR) $(VARIANT_CFLAGS) -I$(TOP)/include $(LDFLAGS_ALL) \
	    -L$(OUT)/lib -Wl,-rpath,'$$ORIGIN/../lib' -o $@ \
	    $(TOP)/examples/participant.cc -lhv_vss
E2E_PROGS+= $(OUT)/tests/participant_cc_throws
$(OUT)/tests/participant_cc_throws: $(TOP)/tests/e2e/throws.cc \
    $(TOP)/examples/participant.cc
	! command -v $(CXX) >/dev/null || $(CXX) -std=c++17 -Wall -Wextra \
	    $(WERROR) $(VARIANT_CFLAGS) -I$(TOP)/include $(LDFLAGS_ALL) \
	    -o $@ $(TOP)/tests/e2e/throws.cc
E2E_PROGS+= $(OUT)/tests/participant_rs
$(OUT)/tests/participant_rs: $(TOP)/examples/participant.rs \
    $(OUT)/lib/libhv_vss.so.1
	! command -v $(RUSTC) >/dev/null || $(RUSTC) --edition 2021 \
	    -O -L $(OUT)/lib -l hv_vss -C link-arg=-Wl,-rpath,'$$ORIGIN/../lib' \
	    -o $@ $(TOP)/examples/participant.rs
# Without pkg-config: it is not installed yet.
E2E_PROGS+= $(OUT)/tests/participant_go
$(OUT)/tests/participant_go: $(TOP)/examples/participant.go \
    $(OUT)/lib/libhv_vss.so.1
	! command -v $(GO) >/dev/null || PKG_CONFIG=true GO111MODULE=off \
	    GOFLAGS= GOCACHE=$(OUT)/obj/go CGO_CFLAGS="-I$(TOP)/include" \
	    CGO_LDFLAGS="-L$(OUT)/lib -lhv_vss -Wl,-rpath,\$$ORIGIN/../lib" \
	    $(GO) build -o $@ $(TOP)/examples/participant.go
libhv_vss_example.c: $(TOP)/man/libhv_vss.3
	sed -n -e '/^#include <err.h>/,/^\.Ed/{/^\.Ed/q;s/\\e/\\/g;p;}' \
	    $(TOP)/man/libhv_vss.3 >$@
$(OUT)/tests/libhv_vss_example: libhv_vss_example.c $(OUT)/lib/libhv_vss.so.1
	$(CC) $(EXAMPLE_FLAGS) -Wl,-rpath,'$$ORIGIN/../lib' -o $@ \
	    libhv_vss_example.c -lhv_vss

# Plays somebody who has taken over a process (t_confined.py).
E2E_PROGS+= $(OUT)/tests/inject
$(OUT)/tests/inject: inject.o
	$(CC) $(LDFLAGS_ALL) -o $@ inject.o

# Stands in for the kernel's uio_hv_generic, inside the driver that t_uio.py
# starts.  It is no part of a program: sanitizers are left out.
E2E_PROGS+= $(OUT)/tests/uioshim.so
UIOSHIM_SRCS= $(TOP)/tests/e2e/uioshim.c $(TOP)/emu/emulink.c $(TOP)/core/ring.c \
	$(TOP)/common/port_user.c
$(OUT)/tests/uioshim.so: $(UIOSHIM_SRCS)
	$(CC) $(CPPFLAGS_ALL) -std=c11 $(WARN) $(WERROR) -O2 -g -fPIC \
	    -fvisibility=hidden -shared -o $@ $(UIOSHIM_SRCS) -ldl

# The time of day of what t_clocks.py starts.
E2E_PROGS+= $(OUT)/tests/clockshim.so
$(OUT)/tests/clockshim.so: $(TOP)/tests/e2e/clockshim.c
	$(CC) $(CPPFLAGS_ALL) -std=c11 $(WARN) $(WERROR) -O2 -g -fPIC \
	    -fvisibility=hidden -shared -o $@ $(TOP)/tests/e2e/clockshim.c

# What a person with a real host is asked to run.
E2E_PROGS+= $(OUT)/tests/hyperv-report.sh
$(OUT)/tests/hyperv-report.sh: $(TOP)/examples/hyperv-report.sh
	cp $(TOP)/examples/hyperv-report.sh $@
