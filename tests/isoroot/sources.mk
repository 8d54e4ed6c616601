# Sources, objects and link rules of tests/isoroot/: the helper's two programs.
# Test code, yet in PROGS: the demo needs them too.

PROGS+= $(OUT)/tests/isowatch $(OUT)/tests/isoinit
$(OUT)/tests/isowatch: watchdog.o isodev.o
	$(CC) $(LDFLAGS_ALL) -o $@ watchdog.o isodev.o -lpthread
$(OUT)/tests/isoinit: isoinit.o
	$(CC) $(LDFLAGS_ALL) -o $@ isoinit.o
