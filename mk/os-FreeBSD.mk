# FreeBSD with the base system's tools and libraries.
OS_CPPFLAGS= -I$(TOP)/sys/freebsd
OS_SYSCONFDIR= /usr/local/etc
