# Sources, objects and link rules of bench/: what the bench runs beside the
# programs.  Built by `make bench' alone.

BENCH_PROGS= $(OUT)/tests/bench_writer $(OUT)/tests/bench_floor \
	$(OUT)/tests/bench_apps $(OUT)/tests/bench_ring
$(OUT)/tests/bench_writer: bench_writer.o
	$(CC) $(LDFLAGS_ALL) -o $@ bench_writer.o
$(OUT)/tests/bench_floor: bench_floor.o
	$(CC) $(LDFLAGS_ALL) -o $@ bench_floor.o -lpthread
$(OUT)/tests/bench_apps: bench_apps.o
	$(CC) $(LDFLAGS_ALL) -o $@ bench_apps.o
$(OUT)/tests/bench_ring: bench_ring.o core.a common.a
	$(CC) $(LDFLAGS_ALL) -o $@ bench_ring.o core.a common.a -lpthread

bench: all $(BENCH_PROGS)
