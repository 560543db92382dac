#!/usr/bin/env bash
# Sets everything up, builds, and runs all tests. Arguments go to ctest, e.g. -R Safetensors.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh --target all
git ls-files '*.h' '*.cpp' | xargs -r clang-format --dry-run --Werror
ctest --preset release "$@"
