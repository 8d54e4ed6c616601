# Sources, objects and link rules of emu/.

# The ring link, which hv_vss_driver shares.
EMULINK_SRCS= emulink.c
EMULINK_OBJS= $(EMULINK_SRCS:.c=.o)
emulink.a: $(EMULINK_OBJS)
	rm -f $@ && $(AR) rcs $@ $(EMULINK_OBJS)
