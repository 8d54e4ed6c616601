# Sources, objects and link rules of freezer/.

# What the daemon shares with it.
FRZ_COMMON_OBJS= frz_msg.o fdwait.o
# What touches file systems is apart: builds for tests have another.
FREEZER_FS_Linux= frz_fs
FREEZER_FS_FreeBSD= frz_ufs
FREEZER_FS= $(FREEZER_FS_$(OS)).o
# And what it may call.
FREEZER_OWN_Linux= frz_confine_linux.o
FREEZER_OWN_OBJS= $(FREEZER_FS) $(FREEZER_OWN_$(OS))
FREEZER_TEST_OBJS= frz_fs_test.o frz_confine_test.o
FREEZER_OBJS_Linux= frz_linux.o frz_worker.o frz_guard.o frz_pool.o frz_rcu.o
FREEZER_OBJS_FreeBSD= frz_freebsd.o frz_worker_freebsd.o frz_guard_freebsd.o
FREEZER_OBJS= hv_vss_freezer.o $(FREEZER_OBJS_$(OS)) $(FRZ_COMMON_OBJS) \
	$(OS_OBJS)

# On Linux static: locked in memory it is smaller than with shared libraries.
# Sanitizers cannot be linked so.
FREEZER_LINK_Linux_rel= -static-pie
FREEZER_LINK_Linux_dbg= -static-pie
FREEZER_LINK_Linux= -pthread
# For libzfs_core, which is loaded: nothing else here uses it.
FREEZER_LINK_FreeBSD= -Wl,--no-as-needed -pthread
FREEZER_LINK= $(FREEZER_LINK_$(OS)_$(VARIANT)) $(FREEZER_LINK_$(OS))

FREEZER= $(OUT)/libexec/hv_vss_freezer
PROGS+= $(FREEZER)
$(FREEZER): $(FREEZER_OBJS) $(FREEZER_OWN_OBJS)
	$(CC) $(LDFLAGS_ALL) $(FREEZER_LINK) -o $@ $(FREEZER_OBJS) $(FREEZER_OWN_OBJS)

# The build for tests touches only the devices that it is given.
FREEZER_TEST= $(OUT)/tests/hv_vss_freezer_test
E2E_PROGS+= $(FREEZER_TEST)
frz_fs_test.o: $(TOP)/freezer/frz_fs.c $(TOP)/freezer/frz_fs.h
	$(CC) $(CPPFLAGS_ALL) -DFRZ_TEST $(CFLAGS_ALL) -c -o $@ \
	    $(TOP)/freezer/frz_fs.c
frz_confine_test.o: $(TOP)/freezer/frz_confine_linux.c
	$(CC) $(CPPFLAGS_ALL) -DFRZ_TEST $(CFLAGS_ALL) -c -o $@ \
	    $(TOP)/freezer/frz_confine_linux.c
$(FREEZER_TEST): $(FREEZER_OBJS) $(FREEZER_TEST_OBJS)
	$(CC) $(LDFLAGS_ALL) $(FREEZER_LINK) -o $@ $(FREEZER_OBJS) \
	    $(FREEZER_TEST_OBJS)
