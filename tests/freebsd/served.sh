# What pools and zroot do on a FreeBSD machine: disks in memory, the module's test
# build, daemon and host, and results as TAP; sourced.  Elsewhere that ends them.
# shellcheck shell=sh
if [ "$(uname -s)" != FreeBSD ] || [ "$(id -u)" -ne 0 ]; then
	echo "1..0 # SKIP pools are flushed on FreeBSD, as root"
	exit 77
fi
if ! kldstat -q -m zfs && ! kldload zfs; then
	echo "1..0 # SKIP this kernel has no ZFS"
	exit 77
fi

# begin MODULE DIR: with bin/hv_vss_daemon and so on in DIR; $tmp is in memory.
begin() {
	module=$1
	dir=$2
	tmp=${TMPDIR:-/tmp}/hv_vss.$$
	mkdir "$tmp" && mount -t tmpfs tmpfs "$tmp" || exit 1
}

# disk NAME MDCONFIG-OPTION...: its device is in NAME.unit.
disk() {
	name=$1
	shift
	mdconfig -a "$@" >"$tmp/$name.unit" || exit 1
}
device() {
	cat "$tmp/$1.unit"
}
# gone NAME...: those that there are.
gone() {
	for name; do
		[ ! -e "$tmp/$name.unit" ] || {
			mdconfig -d -u "$(device "$name")" &&
			    rm "$tmp/$name.unit"
		} || return
	done
}

number=0
failed=0
# result STATUS TEXT
result() {
	number=$((number + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $number - $2"
	else
		echo "not ok $number - $2"
		failed=1
	fi
}

load() {
	kldload "$module" || exit 1
	# An emulated machine is slow.
	for limit in freeze prepare fs hold thaw thaw_fs; do
		sysctl "dev.hvvssg.0.limits.$limit=120000" >/dev/null || exit 1
	done
}
# serve: until rest.
daemon=
serve() {
	"$dir/bin/hv_vss_daemon" -n --set "freezer=$dir/libexec/hv_vss_freezer" \
	    --set fs=120 >"$tmp/daemon" 2>&1 &
	daemon=$!
	until [ "$(sysctl -n dev.hvvssg.0.daemon)" -eq 1 ]; do
		if ! kill -0 $daemon; then
			cat "$tmp/daemon"
			exit 1
		fi
		sleep 0.1
	done
}
rest() {
	[ -z "$daemon" ] || { kill "$daemon" && wait "$daemon"; }
	daemon=
}
unload() {
	! kldstat -q -m hv_vss_guest || kldunload hv_vss_guest
}
# backup STEP...: its status, with what host and daemon said.
backup() {
	"$dir/bin/hv_vss_host" --loop /dev/hv_vss_loop --json "$@" \
	    >"$tmp/host" 2>&1
	set -- $?
	sed 's/^/# /' "$tmp/host" "$tmp/daemon"
	return "$1"
}
# A pool writes only when that is asked for; and as before.
until_asked() {
	timeout=$(sysctl -n vfs.zfs.txg.timeout)
	sysctl vfs.zfs.txg.timeout=3600 >/dev/null
}
as_before() {
	sysctl vfs.zfs.txg.timeout="$timeout" >/dev/null
}
