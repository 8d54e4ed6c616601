# The explorer: every reachable state of the engine.  With one application it
# runs as a unit test; make model takes two.

UNIT_TESTS+= hv_vss_model.t
hv_vss_model.t: model.o core.a
	$(CC) $(LDFLAGS_ALL) -o $@ model.o core.a
