# What both kmod and backups ask of a FreeBSD machine before and after; sourced.
# shellcheck shell=sh
top=$(cd "$(dirname "$0")/../.." && pwd)

only_here() {
	if [ "$(uname -s)" != FreeBSD ] || [ "$(id -u)" -ne 0 ]; then
		echo "1..0 # SKIP the kernel module runs on FreeBSD, as root"
		exit 77
	fi
}

# What the kernel complains of: witness(4), and sleeping with a lock held.
complaints() {
	sysctl -n kern.msgbuf |
	    grep -c -e 'lock order reversal' -e 'acquiring duplicate lock' \
		-e 'non-sleepable locks' -e 'lock order violation'
}

# before TMP; after TMP KMODTEST: false, and why, where more is in use than then
# or the kernel has complained.
before() {
	complaints >"$1/complaints"
	vmstat -m >"$1/before"
}

after() {
	ok=0
	vmstat -m >"$1/after"
	if ! "$2" leak "$1/before" "$1/after"; then
		echo "# vmstat -m: memory is still in use"
		ok=1
	fi
	if [ "$(complaints)" -ne "$(cat "$1/complaints")" ]; then
		echo "# the kernel complains: see dmesg"
		ok=1
	fi
	return $ok
}

# build_module TMP SYSDIR: a test build, and the test of it alone.
build_module() {
	if [ ! -e "$2/conf/kmod.mk" ]; then
		echo "1..0 # SKIP no kernel sources in $2"
		exit 77
	fi
	MAKEOBJDIR=$1 make -C "$top/sys/freebsd" LOOP=1 SYSDIR="$2" &&
	    build_test "$1" kmodtest
}

# build_programs TMP: what fsmatrix tries, and it.
build_programs() {
	build_test "$1" fsmatrix && make -C "$top" all &&
	    ln -s "$top/build/bin" "$top/build/libexec" "$1/"
}

# build_test DIR TEST: with ${CC:-cc}.
build_test() {
	${CC:-cc} -std=c11 -I"$top/include" -I"$top/core" \
	    -I"$top/sys/freebsd" -o "$1/$2" "$top/tests/freebsd/$2"*.c \
	    "$top/tests/freebsd/loophost.c" "$top/core/icmsg.c" -lutil
}
