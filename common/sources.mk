# Sources, objects and link rules of common/.

COMMON_SRCS= port_user.c guid.c conf.c conf_file.c report.c
COMMON_SRCS+= notify.c
COMMON_OBJS= $(COMMON_SRCS:.c=.o)
common.a: $(COMMON_OBJS)
	rm -f $@ && $(AR) rcs $@ $(COMMON_OBJS)
