# Sources, objects and link rules of emu/.

# The ring link, which hv_vss_driver shares.
EMULINK_SRCS= emulink.c
EMULINK_OBJS= $(EMULINK_SRCS:.c=.o)
emulink.a: $(EMULINK_OBJS)
	rm -f $@ && $(AR) rcs $@ $(EMULINK_OBJS)

HOST_SRCS= hv_vss_host.c host_script.c host_run.c host_child.c host_reply.c \
	host_ring.c $(HOST_SRCS_$(OS))
HOST_SRCS_Linux= host_hvutils.c
HOST_SRCS_FreeBSD= host_loop.c
HOST_LIBS_Linux= -lfuse3
HOST_LIBS_FreeBSD= -lm
HOST_OBJS= $(HOST_SRCS:.c=.o)
PROGS+= $(OUT)/bin/hv_vss_host
$(OUT)/bin/hv_vss_host: $(HOST_OBJS) emulink.a core.a common.a
	$(CC) $(LDFLAGS_ALL) -o $@ $(HOST_OBJS) emulink.a core.a common.a \
	    $(HOST_LIBS_$(OS))
