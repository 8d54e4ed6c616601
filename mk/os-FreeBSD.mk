# FreeBSD with the base system's tools and libraries.
OS_CPPFLAGS=
OS_SYSCONFDIR= /usr/local/etc
