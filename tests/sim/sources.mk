# The simulator: core and rings with everything around them played.

SIM_OBJS= sim.o sim_actors.o sim_oracle.o
E2E_PROGS+= $(OUT)/tests/hv_vss_sim
$(OUT)/tests/hv_vss_sim: $(SIM_OBJS) core.a
	$(CC) $(LDFLAGS_ALL) -o $@ $(SIM_OBJS) core.a
