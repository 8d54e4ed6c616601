#!/bin/sh
# Soaks driver, daemon and freezer in the isolated root: soak.sh VARIANT SECS
# SEED.  An empty SEED is a fresh one.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
out=$top/build
[ "$1" = rel ] || out=$top/build/$1
secs=${2:-600}
exec "$top/tests/isoroot/isoroot" --build "$out" --fs ext4:64M,xfs:320M --sys \
	--bound $((secs + 180)) -- /usr/bin/python3 /hv/e2e/soak.py "$secs" "$3"
