#!/bin/sh
# Runs the simulator: sim.sh VARIANT SEED N.  Without SEED a fresh one is taken
# from the time and printed first; one run of a given seed tells its story.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
out=$top/build
[ "$1" = rel ] || out=$top/build/$1
if [ -n "$2" ]; then
	[ "${3:-1}" != 1 ] || exec "$out/obj/hv_vss_sim.t" -v -s "$2" -n 1
	exec "$out/obj/hv_vss_sim.t" -s "$2" -n "$3"
fi
exec "$out/obj/hv_vss_sim.t" -s "$(date +%s)000" -n "${3:-10000}"
