# Sources, objects and link rules of tests/isoroot/: the helper's two programs.
# Test code, yet in PROGS_Linux: the demo needs them too.

# The same in every variant: they watch over what is instrumented, and have no
# /proc of their own nor memory to spare when it matters.
CFLAGS_$(TOP)/tests/isoroot= -fno-sanitize=all -fno-profile-arcs \
	-fno-test-coverage
PROGS_Linux+= $(OUT)/tests/isowatch $(OUT)/tests/isoinit
$(OUT)/tests/isowatch: watchdog.o isodev.o
	$(CC) $(LDFLAGS) -o $@ watchdog.o isodev.o -lpthread
$(OUT)/tests/isoinit: isoinit.o
	$(CC) $(LDFLAGS) -o $@ isoinit.o
