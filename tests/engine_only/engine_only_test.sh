#!/usr/bin/env bash
# The engine alone, as on a machine without OpenCV and without packages of header-only libraries: builds
# from the folder that scripts/gpu_bundle.py makes, and measures something.
# usage: engine_only_test.sh BUILD_FOLDER TORCH_FOLDER PYTHON
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=$1/engine_only torch=$2 python=$3
"$python" scripts/gpu_bundle.py --headers-only --out "$folder/bundle"
cmake -S . -B "$folder/build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DNAGL_ENGINE_ONLY=ON -DNAGL_WERROR=ON \
  -DNAGL_HEADERS="$folder/bundle/headers" -DNAGL_TORCH_DIR="$torch" >/dev/null
cmake --build "$folder/build" --target nagl core_threads_test >/dev/null
"$folder/build/tests/core_threads_test" >/dev/null
result=$("$folder/build/nagl" benchmark --random-weights --image-size 56 --layer 0 --rounds 5 --parts backbone)
grep -q 'from random weights' <<<"$result"
if ldd "$folder/build/nagl" | grep -E 'opencv|spdlog|libfmt|gtest'; then
  echo "the engine alone is linked to what it must not need" >&2
  exit 1
fi
