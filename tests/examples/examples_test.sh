#!/usr/bin/env bash
# Runs each program of examples/ on made-up pictures. examples_test.sh BUILD_FOLDER BACKBONE
set -euo pipefail
build=$1
export NAGL_BACKBONE=${NAGL_BACKBONE:-$2}
[ -f "$NAGL_BACKBONE" ] || { echo "backbone file not found: run scripts/fetch_backbone.py"; exit 77; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
expect() { grep -q "$1" "$folder/out" || { echo "no '$1' in:"; cat "$folder/out"; exit 1; }; }

"$build/nagl" synth --size 96 --train-good 4 --test-good 4 --test-defect 3 --out "$folder/data" >/dev/null
board=$folder/data/products/board
"$build/examples/example_score_folder" "$board/train/good" "$board/test/scratch" >"$folder/out"
expect 'scratch/000.png .* hottest at [0-9]*, [0-9]*'

"$build/nagl" enroll --normal "$board/train/good" --out "$folder/bank.safetensors" 2>/dev/null >/dev/null
"$build/nagl" calibrate --bank "$folder/bank.safetensors" 2>/dev/null >/dev/null
"$build/examples/example_threaded_application" "$folder/bank.safetensors" "$board"/test/*/*.png >"$folder/out"
[ "$(wc -l <"$folder/out")" -eq "$(ls "$board"/test/*/*.png | wc -l)" ]
expect 'good/000.png .* normal'

"$build/examples/example_train_and_evaluate" "$folder/data/surfaces" "$board" "$folder/run" \
  >"$folder/out" 2>/dev/null
expect 'nagl'
[ -f "$folder/run/evaluation/report.html" ]
