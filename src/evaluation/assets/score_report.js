const figures = [...document.querySelectorAll('figure[data-score]')];
const scores = figures.map(f => +f.dataset.score);
const slider = document.getElementById('threshold');
const said = document.getElementById('said');
const unsure = slider.dataset.uncertain === undefined ? Infinity : +slider.dataset.uncertain;
function update() {
  const t = +slider.value;
  let anomalous = 0, uncertain = 0, missed = 0, false_alarms = 0, labelled = 0;
  figures.forEach((f, i) => {
    const above = scores[i] > t;
    const between = !above && scores[i] > unsure;
    f.classList.toggle('anomalous', above);
    f.classList.toggle('uncertain', between);
    anomalous += above;
    uncertain += between;
    if (f.dataset.bad !== undefined) {
      labelled++;
      missed += f.dataset.bad === '1' && !above;
      false_alarms += f.dataset.bad === '0' && above;
    }
  });
  said.textContent = `${t.toFixed(4)}: ${anomalous} anomalous, ` +
    (unsure < Infinity ? `${uncertain} uncertain, ` : '') +
    `${scores.length - anomalous - uncertain} normal` +
    (labelled ? `; by their labels ${missed} missed, ${false_alarms} false alarms` : '');
  const mark = document.getElementById('mark');
  const x = 1000 * (t - slider.min) / (slider.max - slider.min);
  mark.setAttribute('x1', x);
  mark.setAttribute('x2', x);
}
slider.addEventListener('input', update);
// What somebody says of the pictures, by file: {bad, shapes: lists of [x, y] in its pixels}.
const decisions = new Map();
const outlines = new Map();  // kept when a decision is taken back
let saved = true;
const dialog = document.querySelector('dialog');
const stage = document.getElementById('stage');
const overlay = stage.querySelector('img');
const drawn = document.getElementById('drawn');
let open = null, stroke = null;

function show(figure) {
  const said = decisions.get(figure.dataset.source);
  const places = [figure].concat(open === figure ? [dialog] : []);
  for (const place of places) {
    place.querySelectorAll('button.good').forEach(b => b.classList.toggle('chosen', !!said && !said.bad));
    place.querySelectorAll('button.bad').forEach(b => b.classList.toggle('chosen', !!said && said.bad));
  }
  if (open === figure) draw();
  let good = 0, bad = 0;
  decisions.forEach(d => d.bad ? bad++ : good++);
  document.getElementById('save').hidden = decisions.size === 0;
  document.getElementById('decided').textContent = `${good} good, ${bad} bad`;
}
function decide(figure, bad) {
  const said = decisions.get(figure.dataset.source);
  if (said && said.bad === bad) {
    decisions.delete(figure.dataset.source);
  } else {
    outlines.has(figure.dataset.source) || outlines.set(figure.dataset.source, []);
    decisions.set(figure.dataset.source, {bad, shapes: outlines.get(figure.dataset.source),
      w: +figure.dataset.w, h: +figure.dataset.h});
  }
  saved = false;
  show(figure);
}

// The overlay shows the picture several times, once a panel.
function panel(figure) {
  const [x, y, w, h, dx, dy] = figure.dataset.panel.split(' ').map(Number);
  return {x, y, w, h, dx, dy};
}
function place_of(event) {  // in pixels of the picture
  const p = panel(open), box = overlay.getBoundingClientRect();
  let x = (event.clientX - box.left) / box.width * overlay.naturalWidth - p.x;
  let y = (event.clientY - box.top) / box.height * overlay.naturalHeight - p.y;
  if (p.dx) x -= p.dx * Math.max(0, Math.floor(x / p.dx));
  if (p.dy) y -= p.dy * Math.max(0, Math.floor(y / p.dy));
  const within = (v, side, length) => Math.min(Math.max(v / side, 0), 1) * length;
  return [within(x, p.w, +open.dataset.w), within(y, p.h, +open.dataset.h)];
}
function draw() {
  const p = panel(open), said = decisions.get(open.dataset.source);
  const shapes = (said ? said.shapes : []).concat(stroke ? [stroke] : []);
  drawn.setAttribute('viewBox', `0 0 ${overlay.naturalWidth} ${overlay.naturalHeight}`);
  const at = (i, [x, y]) =>
    `${p.x + i * p.dx + x / open.dataset.w * p.w},${p.y + i * p.dy + y / open.dataset.h * p.h}`;
  drawn.innerHTML = shapes.flatMap(shape => [0, 1].map(i =>
    `<polygon points='${shape.map(point => at(i, point)).join(' ')}'/>`)).join('');
}
stage.addEventListener('pointerdown', event => {
  if (!open || !open.dataset.source) return;
  event.preventDefault();
  stroke = [place_of(event)];
});
window.addEventListener('pointermove', event => {
  if (!stroke) return;
  stroke.push(place_of(event));
  draw();
});
window.addEventListener('pointerup', () => {
  if (!stroke) return;
  const shape = stroke;
  stroke = null;
  if (shape.length > 2) {
    const said = decisions.get(open.dataset.source);
    if (!said || !said.bad) decide(open, true);
    decisions.get(open.dataset.source).shapes.push(shape);
    saved = false;
  }
  show(open);
});
window.addEventListener('pointercancel', () => {
  stroke = null;
  if (open) show(open);
});
overlay.addEventListener('load', () => { if (open) show(open); });

document.querySelectorAll('figure').forEach(f => f.addEventListener('click', event => {
  if (event.target.tagName === 'BUTTON') {
    decide(f, event.target.classList.contains('bad'));
    return;
  }
  if (!f.dataset.shown) return;
  open = f;
  drawn.replaceChildren();
  overlay.src = f.dataset.shown;
  dialog.querySelector('p').textContent = f.title;
  dialog.showModal();
}));
dialog.querySelectorAll('button.good, button.bad').forEach(button =>
  button.addEventListener('click', () => decide(open, button.classList.contains('bad'))));
document.getElementById('undo').addEventListener('click', () => {
  const said = decisions.get(open.dataset.source);
  if (said && said.shapes.pop()) saved = false;
  show(open);
});
document.getElementById('close').addEventListener('click', () => dialog.close());
dialog.addEventListener('click', event => { if (event.target === dialog) dialog.close(); });

// A COCO file with the lists of both beside it.
function decisions_json() {
  const images = [], annotations = [], good = [], bad = [];
  decisions.forEach((said, source) => {
    (said.bad ? bad : good).push(source);
    if (!said.bad || !said.shapes.length) return;
    const id = images.length + 1;
    images.push({id, file_name: source, width: said.w, height: said.h});
    for (const shape of said.shapes) {
      annotations.push({id: annotations.length + 1, image_id: id, category_id: 1, iscrowd: 0,
        segmentation: [shape.flat().map(v => Math.round(v * 100) / 100)]});
    }
  });
  return JSON.stringify({images, annotations, categories: [{id: 1, name: 'defect'}],
    nagl: {good, bad}}, null, 1);
}
document.getElementById('download').addEventListener('click', () => {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([decisions_json()], {type: 'application/json'}));
  link.download = 'decisions.json';
  link.click();
  saved = true;
});
window.addEventListener('beforeunload', event => { if (!saved) event.preventDefault(); });
update();
