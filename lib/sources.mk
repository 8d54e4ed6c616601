# Sources, objects and link rules of lib/: libhv_vss, shared and static.

LIB_SRCS= libhv_vss.c lib_dev.c lib_flow.c lib_wait.c
LIB_OBJS= $(LIB_SRCS:.c=.o)
CFLAGS_$(TOP)/lib= -fPIC
# A library is no program: what the variant says of those is left out.
LIB_LDFLAGS= $(VARIANT_LDFLAGS:-pie=) $(LDFLAGS)
LIB_MAP= $(TOP)/lib/libhv_vss.map
# All of it by its own names, for the unit tests.
lib.a: $(LIB_OBJS)
	rm -f $@ && $(AR) rcs $@ $(LIB_OBJS)
PROGS+= $(OUT)/lib/libhv_vss.a $(OUT)/lib/libhv_vss.so.1
# For programs: nothing but the interface can be seen.
OBJCOPY?= objcopy
$(OUT)/lib/libhv_vss.a: $(LIB_OBJS)
	$(CC) -r -nostdlib -o libhv_vss.static $(LIB_OBJS)
	$(OBJCOPY) -w --keep-global-symbol='hv_vss_*' libhv_vss.static
	rm -f $@ && $(AR) rcs $@ libhv_vss.static
$(OUT)/lib/libhv_vss.so.1: $(LIB_OBJS) $(LIB_MAP)
	$(CC) -shared -Wl,-soname,libhv_vss.so.1 \
	    -Wl,--version-script=$(LIB_MAP) $(LIB_LDFLAGS) -o $@ $(LIB_OBJS)
	ln -sf libhv_vss.so.1 $(OUT)/lib/libhv_vss.so
