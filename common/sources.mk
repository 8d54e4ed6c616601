# Sources, objects and link rules of common/.

COMMON_SRCS= port_user.c guid.c conf.c conf_file.c report.c
COMMON_SRCS+= notify.c fdwait.c apart.c relay.c
COMMON_SRCS+= json.c ckpt.c ckpt_digest.c status_read.c history.c prom.c
COMMON_SRCS+= $(STATUS_SRCS_$(OS))
STATUS_SRCS_Linux= status_linux.c
STATUS_SRCS_FreeBSD= status_freebsd.c
# What is called otherwise on each system.
COMMON_SRCS+= $(COMMON_SRCS_$(OS))
COMMON_SRCS_Linux= os_linux.c sysfs.c confine.c
COMMON_SRCS_FreeBSD= os_freebsd.c
OS_OBJS= $(COMMON_SRCS_$(OS):.c=.o)
COMMON_OBJS= $(COMMON_SRCS:.c=.o)
common.a: $(COMMON_OBJS)
	rm -f $@ && $(AR) rcs $@ $(COMMON_OBJS)
