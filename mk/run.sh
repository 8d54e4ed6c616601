#!/bin/sh
# Runs mk/build.mk in the object directory of a variant: run.sh VARIANT TARGET...
# The release variant builds into build/, every other into build/VARIANT/.
set -eu
variant=$1
shift
top=$(cd "$(dirname "$0")/.." && pwd)
case $variant in
rel) out=$top/build ;;
dbg | asan | tsan | cov | fuzz | afl) out=$top/build/$variant ;;
*)
	echo "make: VARIANT=$variant: not a variant; use dbg, rel, asan, tsan, cov, fuzz or afl" >&2
	exit 1
	;;
esac
mkdir -p "$out/obj" "$out/bin" "$out/libexec" "$out/lib" "$out/tests"
cd "$out/obj"
# One file in place of the pattern: BSD make's include takes no pattern.
cat -- *.d >.depend 2>/dev/null || :
exec "${MAKE:-make}" -f "$top/mk/build.mk" TOP="$top" OUT="$out" \
	VARIANT="$variant" OS="$(uname -s)" "$@"
