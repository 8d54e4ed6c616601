# Linux with glibc.
OS_CPPFLAGS= -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64
OS_SYSCONFDIR= /etc
OS_RUNDIR= /run/hv_vss
OS_STATEDIR= /var/lib/hv_vss
