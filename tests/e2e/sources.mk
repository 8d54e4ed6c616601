# Sources, objects and link rules of tests/e2e/.

# A program as users of hv_vss(4) write it, against the installed header alone.
E2E_PROGS+= $(OUT)/tests/appvss_client
$(OUT)/tests/appvss_client: $(TOP)/examples/appvss_client.c
	$(CC) $(WARN) $(WERROR) -I$(TOP)/include -o $@ \
	    $(TOP)/examples/appvss_client.c
