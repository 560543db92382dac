#!/usr/bin/env bash
# Sets everything up, makes pictures of two domains with and without defects, finds the defects of a
# product from eight good examples, then learns from the other domain how to use pictures of defects
# and shows what that gains.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh
nagl=build/release/nagl
data=demo/data
category=$data/products/board
model=demo/training/model.safetensors

if [ ! -d $data ]; then
  rm -rf demo/data.part
  $nagl synth --out demo/data.part >/dev/null
  mv demo/data.part $data
fi

echo
echo "1. Scoring $category/test against the good boards in $category/train/good:"
echo
$nagl score --normal $category/train/good --out demo/result --overwrite $category/test
cat <<TEXT

The higher the score, the less a board looks like the good ones. Each overlay shows a board, its
heat map with the hottest region outlined, and the true defect. A good one to start with:
  demo/result/overlays/scratch/000.png
TEXT

echo
echo "2. Learning from the defects of $data/surfaces (woven cloth, brushed metal, leather):"
echo
if [ -f $model ]; then
  echo "done before: $model"
else
  $nagl train --data $data/surfaces --out demo/training --resume --set trainer.epochs=6 \
    --set validation.hold_out=none
fi

echo
echo "3. Testing on $data/products, which nothing was trained on: four good pictures alone (normal_nn);"
echo "with one picture of each kind of defect, what was learnt (nagl), and the default, which learns"
echo "nothing (auto):"
echo
rm -rf demo/evaluation.part
$nagl evaluate --data $data/products --methods normal_nn,nagl,auto --model $model --normal-shots 4 \
  --abnormal-shots each --seeds 1 --out demo/evaluation.part >demo/evaluation.txt
rm -rf demo/evaluation
mv demo/evaluation.part demo/evaluation
sed 's/evaluation\.part/evaluation/' demo/evaluation.txt
cat <<TEXT

Your own pictures:
  $nagl score --normal FOLDER_OF_GOOD_PARTS --out result FOLDER_TO_CHECK
TEXT
