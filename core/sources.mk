# The one list of core's sources, for the user-space build and the kernel
# module.  Basenames; the headers beside them are found by -I.
CORE_SRCS= ring.c icmsg.c vss_wire.c trace.c client.c request.c action.c stage.c engine.c
