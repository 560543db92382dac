#!/usr/bin/env bash
# Builds the engine on a machine with a GPU, runs its tests there, and measures. Needs CMake, ninja, a C++
# compiler, Torch with CUDA, and the folder that scripts/gpu_bundle.py made; no OpenCV.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  cat <<'TEXT'
usage: scripts/gpu_measure.sh [--bundle DIR] [--torch DIR] [--out DIR] [--cpu]

  --bundle DIR  what scripts/gpu_bundle.py made (default: build/gpu)
  --torch DIR   Torch's folder with include/ and lib/ (default: that of `python3 -c "import torch"`)
  --out DIR     where the results go (default: build/gpu_results)
  --cpu         build without CUDA and measure the CPU: a rehearsal
TEXT
}

bundle=build/gpu torch="" out=build/gpu_results cuda=ON device=cuda
while [ $# -gt 0 ]; do
  case "$1" in
    --bundle) bundle=${2:?--bundle needs a folder}; shift ;;
    --torch) torch=${2:?--torch needs a folder}; shift ;;
    --out) out=${2:?--out needs a folder}; shift ;;
    --cpu) cuda=OFF device=cpu ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
  shift
done

fail() {
  echo "gpu_measure: $*" >&2
  exit 1
}
[ -d "$bundle/headers" ] || fail "'$bundle' holds no headers/; make it with scripts/gpu_bundle.py"
if [ -z "$torch" ]; then
  torch=$(python3 -c 'import os, torch; print(os.path.dirname(torch.__file__))') ||
    fail "no Torch found; name its folder with --torch"
fi
mkdir -p "$out"
headers=$(cd "$bundle/headers" && pwd) build=build/engine-$device

cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DNAGL_ENGINE_ONLY=ON -DNAGL_CUDA=$cuda \
  -DNAGL_HEADERS="$headers" -DNAGL_TORCH_DIR="$torch" >"$out/configure.log"
cmake --build "$build"

export NAGL_BACKBONE=$(cd "$bundle" && pwd)/backbone_float16.safetensors
[ ! -f "$bundle/pictures.safetensors" ] ||
  export NAGL_DEVICE_PICTURES=$(cd "$bundle" && pwd)/pictures.safetensors
# The scores of both devices against each other are among the tests (Device.*); their figures stand in
# device_test.xml.
failed=no
ctest --test-dir "$build" -j2 --output-on-failure >"$out/tests.log" || failed=yes
tail -n 4 "$out/tests.log"
"$build/tests/model_device_test" --gtest_output="xml:$out/device_test.xml" >"$out/device_test.log" ||
  failed=yes

for precision in float32 bfloat16 float16; do
  [ "$device" = cpu ] && [ $precision = float16 ] && continue
  echo "== $precision =="
  "$build/nagl" benchmark --device $device --precision $precision --layer 11 \
    | tee "$out/benchmark_$precision.txt"
  "$build/nagl" benchmark --device $device --precision $precision --layer 11 --json \
    >"$out/benchmark_$precision.json"
done
echo "results: $out"
[ $failed = no ] || fail "some tests failed; see $out/tests.log"
