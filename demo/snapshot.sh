#!/bin/sh
# The snapshot that a host would take: copies the images of the file systems to
# DIR while they are frozen, and notes when it began.  snapshot.sh DIR IMAGE...
set -eu
dir=$1
shift
cut -d' ' -f1 /proc/uptime >"$dir/began"
cp --sparse=always "$@" "$dir/"
