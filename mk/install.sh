#!/bin/sh
# Installs what a variant has built: install.sh DIR VARIANT.
set -eu
dest=$1
variant=$2
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
put 644 lib "$out"/lib/*
put 644 include/dev/hyperv "$top"/include/dev/hyperv/*.h
put 644 share/examples/hv_vss "$top"/examples/hv_vss.conf
for section in 3 4 5 7 8; do
	put 644 "share/man/man$section" "$top"/man/*."$section"
done
