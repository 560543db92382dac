#!/bin/sh
# Installs nagl, builds the consumer project against the installed package, and compares what it says
# of a picture with what the installed command line says.
#   consumer_test.sh BUILD_FOLDER BACKBONE
set -eu
build=$1 backbone=$2
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if [ ! -f "$backbone" ]; then
  echo "backbone file not found: run scripts/fetch_backbone.py"
  [ "${NAGL_REQUIRE_DATA:-}" = 1 ] && exit 1
  exit 77
fi
cmake --install "$build" --prefix "$work/prefix" >/dev/null
env -u NAGL_TORCH_DIR cmake -S "$here" -B "$work/build" -G Ninja -DCMAKE_BUILD_TYPE=Release \
  -DCMAKE_PREFIX_PATH="$work/prefix" >/dev/null
cmake --build "$work/build"

nagl=$work/prefix/bin/nagl
"$nagl" synth --size 128 --train-good 2 --test-good 1 --test-defect 1 --out "$work/data" >/dev/null
board=$work/data/products/board
query=$board/test/scratch/000.png
said=$("$work/build/consumer" "$backbone" "$board/train/good/000.png" "$board/train/good/001.png" \
  "$query" "$work/map.png")
expected=$("$nagl" score --backbone "$backbone" --normal "$board/train/good" \
  --augment-references none --out "$work/out" --no-overlays --json "$query" |
  sed 's/.*"image_score":\([0-9.]*\).*/\1/')
echo "consumer: $said, nagl score: $expected"
cmp "$work/map.png" "$work/out/maps/000.png"
awk -v a="$said" -v b="$expected" 'BEGIN { d = a - b; exit !(a > 0 && d * d < 1e-10) }'
