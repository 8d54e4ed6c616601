#!/bin/sh
# Builds the Debian packages from a copy of the tree: deb.sh OUTDIR.  The
# packages are in OUTDIR then, nothing else; the tree itself is not touched.
set -eu
mkdir -p "$1"
outdir=$(cd "$1" && pwd)
top=$(cd "$(dirname "$0")/.." && pwd)
work=$top/build/deb-work
rm -rf "$work"
mkdir -p "$work/hv-vss"
cd "$top"
if [ -d .git ]; then
	git ls-files -co --exclude-standard
else
	find . -path ./build -prune -o -type f -print
fi | while read -r f; do
	[ ! -e "$f" ] || echo "$f"
done | tar -c -T - | tar -x -C "$work/hv-vss"
cd "$work/hv-vss"
dpkg-buildpackage -us -uc -b >"$work/log" 2>&1 || {
	tail -n 40 "$work/log" >&2
	echo "deb: dpkg-buildpackage failed; the whole of it: $work/log" >&2
	exit 1
}
rm -f "$outdir"/*.deb "$outdir"/*.changes "$outdir"/*.buildinfo
mv "$work"/*.deb "$work"/*.changes "$work"/*.buildinfo "$outdir"
rm -rf "$work/hv-vss"
ls "$outdir"/*.deb
