#!/usr/bin/env bash
# Sets everything up, makes pictures of a product with and without defects, and finds the defects
# from eight good examples.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh
nagl=build/release/nagl
data=demo/data
category=$data/products/board

if [ ! -d $data ]; then
  rm -rf demo/data.part
  $nagl synth --out demo/data.part >/dev/null
  mv demo/data.part $data
fi

echo
echo "Scoring $category/test against the good boards in $category/train/good:"
echo
$nagl score --normal $category/train/good --out demo/result --overwrite $category/test
cat <<TEXT

The higher the score, the less a board looks like the good ones. Each overlay shows a board, its
heat map with the hottest region outlined, and the true defect. A good one to start with:
  demo/result/overlays/scratch/000.png
Your own pictures:
  $nagl score --normal FOLDER_OF_GOOD_PARTS --out result FOLDER_TO_CHECK
TEXT
