#!/usr/bin/env bash
# Runs clang-tidy on the C++ sources that differ from a base (default: the last commit), without the
# precompiled header, which clang cannot read. About 40 s a file.
#   scripts/lint.sh [BASE]
set -euo pipefail
cd "$(dirname "$0")/.."

command -v clang-tidy >/dev/null || { echo "lint: install clang-tidy" >&2; exit 1; }
database=build/lint
cmake --preset release -B $database >/dev/null
# The database without g++'s precompiled header and the options only g++ knows.
sed -E -i 's/ -Winvalid-pch//g; s/ -include [^ ]*cmake_pch\.hxx//g' $database/compile_commands.json
mapfile -t files < <({ git diff --name-only --diff-filter=d "${1:-HEAD}" -- '*.cpp'
  git ls-files --others --exclude-standard -- '*.cpp'; } | sort -u)
[ ${#files[@]} -gt 0 ] || { echo "lint: no changed sources"; exit 0; }
clang-tidy -p $database --quiet --warnings-as-errors='*' "${files[@]}"
