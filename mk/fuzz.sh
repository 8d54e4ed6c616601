#!/bin/sh
# Runs the fuzz harnesses, one after another: fuzz.sh run NAME SECS, all of them
# without NAME.  What makes one fail is kept in build/fuzz, what reaches
# something new in build/fuzz/corpus/NAME, where the next run begins with it.
#
# fuzz.sh cov: replays the corpora of the repository and prints how much of its
# target (fuzz/targets) each reaches.  fuzz.sh merge NAME: adds to the corpus of
# the repository what the runs found and it lacks, as little as will do.
set -eu
cd "$(dirname "$0")/.."
out=build/fuzz
all=$(cat $out/obj/fuzzers)
what=$1
name=${2:-}
secs=${3:-20}
names=
for f in $all; do
	f=${f#fuzz_}
	[ -n "$name" ] && [ "$f" != "$name" ] || names="$names $f"
done
if [ -z "$names" ]; then
	echo "make: T=$name: no such harness; there are:" $all | sed 's/fuzz_//g' >&2
	exit 1
fi
LLVM_PROFILE_FILE=/dev/null
export LLVM_PROFILE_FILE

run() {
	passed=0
	failed=0
	for f in $names; do
		mkdir -p $out/corpus/$f
		log=$out/$f.log
		if $out/obj/fuzz_$f.t -max_total_time="$secs" -timeout=10 \
		    -print_final_stats=1 -artifact_prefix=$out/$f- \
		    $out/corpus/$f fuzz/corpus/$f >$log 2>&1; then
			passed=$((passed + 1))
			verdict=ok
		else
			failed=$((failed + 1))
			verdict=FAIL
		fi
		n=$(sed -n 's/^stat::number_of_executed_units: *//p' $log)
		new=$(sed -n 's/^stat::new_units_added: *//p' $log)
		printf '%-4s %-10s %10s inputs in %s s, %s reach something new\n' \
		    $verdict "$f" "${n:-?}" "$secs" "${new:-?}"
		[ $verdict = ok ] || {
			grep -E 'does not hold|runtime error|ERROR|assertion|Test unit' \
			    $log | sed 's/^/     /'
			echo "     the whole of it: $log; again: $out/obj/fuzz_$f.t FILE"
		}
	done
	echo "$passed passed, $failed failed, 0 skipped"
	[ $failed -eq 0 ]
}

cov() {
	printf '%-10s %-30s %8s %9s %9s\n' harness target lines branches inputs
	for f in $names; do
		LLVM_PROFILE_FILE=$out/$f.raw $out/obj/fuzz_$f.t -runs=0 \
		    fuzz/corpus/$f >$out/$f.cov.log 2>&1
		llvm-profdata-14 merge -o $out/$f.prof $out/$f.raw
		targets=$(sed -n "s/^${f}[ 	]*//p" fuzz/targets)
		for t in $targets; do
			llvm-cov-14 export -summary-only -instr-profile $out/$f.prof \
			    $out/obj/fuzz_$f.t "$PWD/$t" |
				python3 -c '
import json, sys
t = json.load(sys.stdin)["data"][0]["totals"]
print("%-10s %-30s %6.1f %% %7.1f %% %9s" % (sys.argv[1], sys.argv[2],
      t["lines"]["percent"], t["branches"]["percent"], sys.argv[3]))' \
				    "$f" "$t" "$(find fuzz/corpus/$f -type f | wc -l)"
		done
	done
}

merge() {
	for f in $names; do
		mkdir -p fuzz/corpus/$f $out/corpus/$f
		$out/obj/fuzz_$f.t -merge=1 -use_counters=0 fuzz/corpus/$f $out/corpus/$f \
		    >$out/$f.merge.log 2>&1
		echo "$f: $(find fuzz/corpus/$f -type f | wc -l) inputs," \
		    "$(du -sk --apparent-size fuzz/corpus/$f | cut -f 1) KiB"
	done
}

case $what in
run | cov | merge) $what ;;
*)
	echo "usage: fuzz.sh run|cov|merge [NAME [SECS]]" >&2
	exit 1
	;;
esac
