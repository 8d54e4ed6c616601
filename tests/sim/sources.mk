# The simulator: core and rings with everything around them played.  It runs as
# a unit test, with its fixed seeds.

SIM_OBJS= sim.o sim_actors.o sim_oracle.o
UNIT_TESTS+= hv_vss_sim.t
hv_vss_sim.t: $(SIM_OBJS) core.a
	$(CC) $(LDFLAGS_ALL) -o $@ $(SIM_OBJS) core.a
