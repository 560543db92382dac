#!/usr/bin/env bash
# Sets everything up, builds, and runs the tests, but for those of minutes.
#   scripts/test.sh [--slow] [CTEST ARGUMENT...]   --slow adds those; e.g. -R weights, -L unit
set -euo pipefail
cd "$(dirname "$0")/.."

which=(-LE '^slow$')
if [ "${1:-}" = --slow ]; then
  which=()
  shift
fi

scripts/setup.sh --target all
find include src apps tests examples python \( -name '*.h' -o -name '*.cpp' \) -print0 |
  xargs -0 clang-format --dry-run --Werror

log=build/release/Testing/nagl_tests.log
mkdir -p "$(dirname "$log")"
result=0
# The end of what ctest says comes last, after where the time went and what was skipped.
ctest --preset release "${which[@]}" "$@" | tee "$log" | sed -u '/^[0-9]*% tests passed/,$d' || result=$?
echo "The slowest:"
sed -nE 's|^ *[0-9]+/[0-9]+ Test +#[0-9]+: ([^ ]+) .* ([0-9.]+) sec.*$|\2 s  \1|p' "$log" | sort -rn |
  sed -n '1,10s/^/  /p'  # to the end: `head` would leave sort a broken pipe
skipped=$(awk '/: Skipped$/ { getline reason } /^\[  SKIPPED \] .*\(.* ms\)$/ { print "  " $4 ": " reason }' \
  build/release/Testing/Temporary/LastTest.log)
[ -z "$skipped" ] || echo "Skipped:"$'\n'"$skipped"
echo
sed -n '/^[0-9]*% tests passed/,$p' "$log"
exit "$result"
