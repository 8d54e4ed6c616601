#!/bin/sh
# Installs what a variant has built: install.sh DESTDIR PREFIX VARIANT.
set -eu
dest=$1$2
prefix=$2
variant=$3
top=$(cd "$(dirname "$0")/.." && pwd)
out=$top/build
[ "$variant" = rel ] || out=$out/$variant

# put MODE DIR FILE...: a pattern without a match is a part that is not there.
put() {
	mode=$1
	dir=$dest/$2
	shift 2
	for f; do
		[ -f "$f" ] || continue
		install -d "$dir"
		install -m "$mode" "$f" "$dir/"
	done
}

put 755 sbin "$out"/bin/*
put 755 libexec "$out"/libexec/*
put 644 lib "$out"/lib/libhv_vss.a "$out"/lib/libhv_vss.so.1
ln -sf libhv_vss.so.1 "$dest/lib/libhv_vss.so"
version=$(sed -n 's/.*HV_VSS_VERSION "\(.*\)"/\1/p' "$top/common/version.h")
pc=lib/pkgconfig
[ "$(uname -s)" != FreeBSD ] || pc=libdata/pkgconfig
install -d "$dest/$pc"
sed -e "s,@PREFIX@,$prefix," -e "s,@VERSION@,$version," \
	"$top/lib/libhv_vss.pc.in" >"$dest/$pc/libhv_vss.pc"
put 644 include "$top"/include/hv_vss.h
put 644 include/dev/hyperv "$top"/include/dev/hyperv/*.h
put 644 share/examples/hv_vss "$top"/examples/hv_vss.conf
for section in 3 4 5 7 8; do
	put 644 "share/man/man$section" "$top"/man/*."$section"
done
