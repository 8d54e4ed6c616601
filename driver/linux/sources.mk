# Sources, objects and link rules of driver/linux/.

DRIVER_SRCS= drv_main.c dev_calls.c drv_dev.c drv_fuse.c drv_cuse.c drv_link.c drv_emu.c drv_ring.c drv_uio.c drv_bus.c \
	drv_utils.c drv_log.c drv_proc.c
DRIVER_SRCS+= drv_status.c drv_test.c
DRIVER_OBJS= $(DRIVER_SRCS:.c=.o)
PROGS_Linux+= $(OUT)/bin/hv_vss_driver
$(OUT)/bin/hv_vss_driver: $(DRIVER_OBJS) emulink.a core.a common.a
	$(CC) $(LDFLAGS_ALL) -o $@ $(DRIVER_OBJS) emulink.a core.a common.a -lfuse3
