# Sources, objects and link rules of freezer/.

# What the daemon shares with it.
FRZ_COMMON_OBJS= frz_msg.o
FREEZER_OBJS= hv_vss_freezer.o frz_worker.o frz_guard.o frz_pool.o frz_rcu.o \
	$(FRZ_COMMON_OBJS)

# Static: locked in memory it is smaller than with shared libraries.  Sanitizers
# cannot be linked so.
FREEZER_LINK_rel= -static-pie
FREEZER_LINK_dbg= -static-pie
FREEZER_LINK= $(FREEZER_LINK_$(VARIANT)) -pthread

FREEZER= $(OUT)/libexec/hv_vss_freezer
PROGS+= $(FREEZER)
$(FREEZER): $(FREEZER_OBJS) frz_fs.o
	$(CC) $(LDFLAGS_ALL) $(FREEZER_LINK) -o $@ $(FREEZER_OBJS) frz_fs.o

# The build for tests touches only the devices that it is given.
FREEZER_TEST= $(OUT)/tests/hv_vss_freezer_test
E2E_PROGS+= $(FREEZER_TEST)
frz_fs_test.o: $(TOP)/freezer/frz_fs.c $(TOP)/freezer/frz_fs.h
	$(CC) $(CPPFLAGS_ALL) -DFRZ_TEST $(CFLAGS_ALL) -c -o $@ \
	    $(TOP)/freezer/frz_fs.c
$(FREEZER_TEST): $(FREEZER_OBJS) frz_fs_test.o
	$(CC) $(LDFLAGS_ALL) $(FREEZER_LINK) -o $@ $(FREEZER_OBJS) \
	    frz_fs_test.o
