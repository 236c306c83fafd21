#!/usr/bin/env bash
# lastline.sh WORD COMMAND…: runs the command, its output on stderr, and prints the last line that begins with WORD. Ends as
# the command ended; where there is no such line, as failed.
set -uo pipefail
word=$1
shift
out=$(mktemp)
trap 'rm -f "$out"' EXIT
"$@" 2>&1 | tee "$out" >&2
status=${PIPESTATUS[0]}
grep "^$word " "$out" | tail -n 1
found=${PIPESTATUS[0]}
[ "$status" -ne 0 ] || status=$found
exit "$status"
