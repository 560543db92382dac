#!/usr/bin/env bash
# Sets everything up, makes pictures of two domains with and without defects, trains on one of them,
# and finds the defects of the other: from eight good examples alone, and with one picture of each
# kind of defect beside them.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh
nagl=build/release/nagl
data=demo/data
model=demo/training/model.safetensors
report=demo/benchmark/report.html

if [ ! -d $data ]; then
  rm -rf demo/data.part
  $nagl synth --out demo/data.part >/dev/null
  mv demo/data.part $data
fi
