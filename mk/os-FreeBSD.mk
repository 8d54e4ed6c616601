# FreeBSD with the base system's tools and libraries.
OS_CPPFLAGS= -I$(TOP)/sys/freebsd
OS_SYSCONFDIR= /usr/local/etc
OS_RUNDIR= /var/run/hv_vss
OS_STATEDIR= /var/db/hv_vss
