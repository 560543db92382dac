#!/usr/bin/env bash
# Sets everything up, builds, and runs all tests. Arguments go to ctest, e.g. -R Weights.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh --target all
find include src apps tests \( -name '*.h' -o -name '*.cpp' \) -print0 |
  xargs -0 clang-format --dry-run --Werror
ctest --preset release "$@"
