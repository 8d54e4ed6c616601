# How everything is compiled: run by mk/run.sh in an object directory.  Objects
# lie flat in it (basenames are unique in the repository); sources are found by
# VPATH (GNU make) and .PATH (BSD make).

default: all

CC= cc
FUZZ_MAIN= fuzz_main.o
include $(TOP)/mk/variant-$(VARIANT).mk
include $(TOP)/mk/os-$(OS).mk

WARN= -Wall -Wextra -Wshadow -Wcast-qual -Wpointer-arith -Wstrict-prototypes \
	-Wmissing-prototypes -Wundef -Wvla
WERROR=
# Where hv_vss.conf is.
SYSCONFDIR= $(OS_SYSCONFDIR)
CPPFLAGS_ALL= $(OS_CPPFLAGS) -DHV_SYSCONFDIR='"$(SYSCONFDIR)"' -DHV_RUNDIR='"$(OS_RUNDIR)"' -DHV_STATEDIR='"$(OS_STATEDIR)"' -I$(TOP)/include -I$(TOP)/core -I$(TOP)/common \
	-I$(TOP)/emu -I$(TOP)/daemon -I$(TOP)/freezer -I$(TOP)/driver -I$(TOP)/driver/linux \
	-I$(TOP)/ctl -I$(TOP)/lib
CFLAGS_ALL= -std=c11 -MMD -MP $(WARN) $(WERROR) $(VARIANT_CFLAGS) $(CFLAGS)
LDFLAGS_ALL= $(VARIANT_LDFLAGS) $(LDFLAGS)

VPATH= $(TOP)/core:$(TOP)/common:$(TOP)/emu:$(TOP)/daemon:$(TOP)/freezer:$(TOP)/driver:$(TOP)/driver/linux:$(TOP)/ctl:$(TOP)/lib:$(TOP)/tests/unit:$(TOP)/tests/sim:$(TOP)/tests/model:$(TOP)/tests/isoroot:$(TOP)/tests/e2e:$(TOP)/tests/kpi:$(TOP)/sys/freebsd:$(TOP)/fuzz:$(TOP)/bench
.PATH: $(TOP)/core $(TOP)/common $(TOP)/emu $(TOP)/daemon $(TOP)/freezer $(TOP)/driver $(TOP)/driver/linux $(TOP)/ctl $(TOP)/lib $(TOP)/tests/unit $(TOP)/tests/sim $(TOP)/tests/model $(TOP)/tests/isoroot $(TOP)/tests/e2e $(TOP)/tests/kpi $(TOP)/sys/freebsd $(TOP)/fuzz $(TOP)/bench

.SUFFIXES:
.SUFFIXES: .c .o .t
.SECONDARY:
# One short line each; make Q= shows the commands.
Q= @
.c.o:
	@echo "cc $(@:.o=.c)"
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) $(CFLAGS_$(<D)) -c -o $@ $<
# A unit test: t_FILE.o and the archives become t_FILE.t.
.o.t:
	$(CC) $(LDFLAGS_ALL) -o $@ $< $(UNIT_ARCHIVES) $(UNIT_LIBS) -lcmocka

include $(TOP)/core/sources.mk
CORE_OBJS= $(CORE_SRCS:.c=.o)
# Flags of one source directory: core converts nothing silently.
CFLAGS_$(TOP)/core= -Wconversion
core.a: $(CORE_OBJS)
	rm -f $@ && $(AR) rcs $@ $(CORE_OBJS)

# Each component adds to PROGS (or PROGS_$(OS)), UNIT_TESTS and E2E_PROGS, and gives the rules
# that link them.
PROGS=
PROGS_Linux=
UNIT_TESTS=
E2E_PROGS=
include $(TOP)/common/sources.mk
include $(TOP)/emu/sources.mk
include $(TOP)/daemon/sources.mk
include $(TOP)/freezer/sources.mk
include $(TOP)/driver/linux/sources.mk
include $(TOP)/lib/sources.mk
include $(TOP)/ctl/sources.mk
include $(TOP)/tests/unit/sources.mk
include $(TOP)/tests/freebsd/sources.mk
include $(TOP)/tests/sim/sources.mk
include $(TOP)/tests/model/sources.mk
include $(TOP)/tests/kpi/sources.mk
include $(TOP)/fuzz/sources.mk
include $(TOP)/tests/isoroot/sources.mk
include $(TOP)/tests/e2e/sources.mk
include $(TOP)/bench/sources.mk

all: core.a $(PROGS) $(PROGS_$(OS))
tests: all $(UNIT_TESTS) $(E2E_PROGS)
	@echo $(UNIT_TESTS) >unit-tests
unit-tests: $(UNIT_TESTS)
	@echo $(UNIT_TESTS) >$@

# Header dependencies, gathered from the *.d files by mk/run.sh.
-include .depend
