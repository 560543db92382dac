#!/usr/bin/env bash
# Presses the buttons of a report of `nagl score` in a real browser, draws around a defect, and gives what
# it saves to `nagl feedback`. feedback_browser_test.sh NAGL BACKBONE [SCREENSHOT]
set -euo pipefail
nagl=$1
export NAGL_BACKBONE=${NAGL_BACKBONE:-$2}
[ -f "$NAGL_BACKBONE" ] || { echo "backbone file not found: run scripts/fetch_backbone.py"; exit 77; }
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)
[ -n "$browser" ] || { echo "no browser: install chromium to test the report's buttons"; exit 77; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
fail() { echo "$1"; exit 1; }

"$nagl" synth --size 160 --train-good 4 --test-good 2 --test-defect 2 --out "$folder/data" >/dev/null
board=$folder/data/products/board
bank=$folder/bank.safetensors
"$nagl" enroll --image-size 224 --normal "$board/train/good" --out "$bank" >/dev/null 2>&1
"$nagl" score --bank "$bank" --out "$folder/out" "$board/test/good" "$board/test/scratch" >/dev/null 2>&1

# What a person does: two clicks, then a picture is opened and a triangle drawn on its second panel.
cat >"$folder/person.js" <<'JS'
async function person() {
  const figure = name => figures.find(f => f.dataset.source.endsWith(name));
  figure('good/000.png').querySelector('button.good').click();
  figure('scratch/001.png').querySelector('button.bad').click();
  const third = figure('scratch/000.png');
  third.querySelector('img').click();
  while (!overlay.naturalWidth) await new Promise(done => setTimeout(done, 20));
  const [x, y, w, h, dx] = third.dataset.panel.split(' ').map(Number);
  const box = overlay.getBoundingClientRect(), scale = box.width / overlay.naturalWidth;
  const at = (type, u, v) => stage.dispatchEvent(new PointerEvent(type, {bubbles: true,
    clientX: box.left + (x + dx + u * w) * scale, clientY: box.top + (y + v * h) * scale}));
  at('pointerdown', .25, .25); at('pointermove', .75, .25); at('pointermove', .5, .75);
  at('pointerup', .5, .75);
  const result = document.createElement('pre');
  result.id = 'result';
  result.textContent = decisions_json();
  document.body.append(result);
  saved = true;
}
person();
JS
{
  sed 's|</main></body></html>||' "$folder/out/report.html"
  echo '<script>'
  cat "$folder/person.js"
  echo '</script></main></body></html>'
} >"$folder/out/driven.html"
run() {
  timeout 120 "$browser" --headless --no-sandbox --disable-gpu --disable-dev-shm-usage \
    --user-data-dir="$folder/profile" --window-size=1280,900 --virtual-time-budget=10000 "$@" \
    "file://$folder/out/driven.html" 2>/dev/null
}
run --dump-dom >"$folder/dom.html"
sed -n '/<pre id="result">/,/<\/pre>/p' "$folder/dom.html" | sed 's/.*<pre id="result">//; s/<\/pre>.*//' \
  >"$folder/decisions.json"
[ -s "$folder/decisions.json" ] || fail "the page's script did not run to its end"
if [ -n "${3:-}" ]; then run --screenshot="$3" >/dev/null; fi

grep -q 'scratch/000.png' "$folder/decisions.json" || { cat "$folder/decisions.json"; fail "no outline"; }
"$nagl" feedback "$bank" "$folder/decisions.json" >"$folder/said" 2>"$folder/warned" ||
  { cat "$folder/said" "$folder/warned"; fail "nagl feedback failed"; }
grep -q '1 references and 2 defects more' "$folder/said" || { cat "$folder/said"; fail "not learnt"; }
grep -q '1 defects have no mask' "$folder/warned" || { cat "$folder/warned"; fail "no word of the mask"; }
# The triangle, in pixels of the picture: its corners at a quarter, three quarters and the middle.
points=$(tr -d ' \n' <"$folder/decisions.json" | sed 's/.*"segmentation":\[\[\([^]]*\)\].*/\1/')
echo "$points" | awk -F, '{ split("40 40 120 40 80 120", want, " ")
  for (i = 1; i <= 6; ++i) if ($i < want[i] - 1 || $i > want[i] + 1) { print "corner " $i; exit 1 } }' ||
  fail "the triangle lies elsewhere: $points"
