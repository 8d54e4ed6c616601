#!/bin/sh
# Installs what a variant has built: install.sh DESTDIR PREFIX VARIANT|DIRECTORY, for
# this system or, with OS in the environment, for the one it was built for.  Where
# things go, below the prefix or absolute, can be said in the environment:
# SBINDIR, DAEMONDIR (hv_vss_daemon alone, where another package has a program
# of that name in sbin), LIBEXECDIR, LIBDIR, SYSCONFDIR; on Linux UNITDIR,
# UDEVDIR, SYSUSERSDIR, TMPFILESDIR.
set -eu
root=$1
prefix=$2
variant=$3
top=$(cd "$(dirname "$0")/.." && pwd)
out=$top/build
case $variant in
rel) ;;
/*) out=$variant ;;
*) out=$out/$variant ;;
esac
os=${OS:-$(uname -s)}

# under DIR: absolute, and below the prefix if it was not.
under() {
	case $1 in
	/*) echo "$1" ;;
	*) echo "$prefix/$1" ;;
	esac
}

# put MODE DIR FILE...: a pattern without a match is a part that is not there.
put() {
	mode=$1
	dir=$root$(under "$2")
	shift 2
	for f; do
		[ -f "$f" ] || continue
		install -d "$dir"
		install -m "$mode" "$f" "$dir/"
	done
}

sbindir=$(under "${SBINDIR:-sbin}")
daemondir=$(under "${DAEMONDIR:-$sbindir}")
libexecdir=$(under "${LIBEXECDIR:-libexec}")
libdir=$(under "${LIBDIR:-lib}")
sysconfdir=/etc
[ "$os" != FreeBSD ] || sysconfdir=$prefix/etc
sysconfdir=${SYSCONFDIR:-$sysconfdir}

# fill FILE DIR [NAME]: a text with the paths in it.
fill() {
	dir=$root$(under "$2")
	install -d "$dir"
	sed -e "s,@PREFIX@,$prefix,g" -e "s,@VERSION@,$version,g" \
		-e "s,@SBINDIR@,$sbindir,g" -e "s,@DAEMONDIR@,$daemondir,g" \
		-e "s,@LIBEXECDIR@,$libexecdir,g" -e "s,@LIBDIR@,$libdir,g" \
		-e "s,@SYSCONFDIR@,$sysconfdir,g" \
		"$1" >"$dir/${3:-${1##*/}}"
	chmod 644 "$dir/${3:-${1##*/}}"
}

version=$(sed -n 's/.*HV_VSS_VERSION "\(.*\)"/\1/p' "$top/common/version.h")
for f in "$out"/bin/*; do
	case ${f##*/} in
	hv_vss_daemon) put 755 "$daemondir" "$f" ;;
	*) put 755 "$sbindir" "$f" ;;
	esac
done
put 755 "$libexecdir" "$out"/libexec/*
put 644 "$libdir" "$out"/lib/libhv_vss.a "$out"/lib/libhv_vss.so.1
ln -sf libhv_vss.so.1 "$root$libdir/libhv_vss.so"
pc=$libdir/pkgconfig
[ "$os" != FreeBSD ] || pc=libdata/pkgconfig
fill "$top/lib/libhv_vss.pc.in" "$pc" libhv_vss.pc
put 644 include "$top"/include/hv_vss.h
put 644 include/dev/hyperv "$top"/include/dev/hyperv/*.h
put 644 share/examples/hv_vss "$top"/examples/hv_vss.conf \
    "$top"/examples/participant.* "$top"/examples/hyperv-report.sh
put 644 share/examples/hv_vss "$top"/hooks/*.conf
adapters=$(under share/hv_vss/adapters)
put 755 "$adapters" "$top"/hooks/hv_vss_adapter
put 644 "$adapters" "$top"/hooks/*.py
ln -sf "$adapters/hv_vss_adapter" "$root$sbindir/hv_vss_adapter"
install -d "$root$sysconfdir/hv_vss/hooks.d"
put 644 share/bash-completion/completions "$top"/packaging/completion/hv_vssctl
for section in 3 4 5 7 8; do
	put 644 "share/man/man$section" "$top"/man/*."$section"
done

# Those of the port's user are kept: what is installed is a sample.
if [ "$os" = FreeBSD ]; then
	from=$top/packaging/freebsd
	for name in hv_vss_daemon hv_vss_hooks hv_vss_adapters; do
		fill "$from/$name.rc" "$sysconfdir/rc.d" $name
		chmod 555 "$root$sysconfdir/rc.d/$name"
	done
	fill "$from/hv_vss.devd" "$sysconfdir/devd" hv_vss.conf.sample
	fill "$top/examples/hv_vss.conf" "$sysconfdir" hv_vss.conf.sample
	for f in devd/hv_vss.conf hv_vss.conf; do
		[ -e "$root$sysconfdir/$f" ] ||
			cp "$root$sysconfdir/$f.sample" "$root$sysconfdir/$f"
	done
fi

[ "$os" = Linux ] || exit 0
from=$top/packaging/linux
unitdir=${UNITDIR:-lib/systemd/system}
for f in "$from"/*.service "$from"/*.socket; do
	fill "$f" "$unitdir"
done
# The names of the kernel tools' own daemon's unit, on Debian and on Fedora.
for unit in hv-vss-daemon hypervvssd; do
	fill "$from/kernel-tools.conf" "$unitdir/$unit.service.d" hv_vss.conf
done
put 644 "${UDEVDIR:-lib/udev}/rules.d" "$from"/*.rules
put 755 lib/systemd/system-sleep "$from"/*.sleep
fill "$from/hv_vss.sysusers" "${SYSUSERSDIR:-lib/sysusers.d}" hv_vss.conf
fill "$from/hv_vss.tmpfiles" "${TMPFILESDIR:-lib/tmpfiles.d}" hv_vss.conf
