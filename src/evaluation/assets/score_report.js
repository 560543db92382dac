const figures = [...document.querySelectorAll('figure[data-score]')];
const scores = figures.map(f => +f.dataset.score);
const slider = document.getElementById('threshold');
const said = document.getElementById('said');
function update() {
  const t = +slider.value;
  let anomalous = 0, missed = 0, false_alarms = 0, labelled = 0;
  figures.forEach((f, i) => {
    const above = scores[i] > t;
    f.classList.toggle('anomalous', above);
    anomalous += above;
    if (f.dataset.bad !== undefined) {
      labelled++;
      missed += f.dataset.bad === '1' && !above;
      false_alarms += f.dataset.bad === '0' && above;
    }
  });
  said.textContent = `${t.toFixed(4)}: ${anomalous} anomalous, ${scores.length - anomalous} normal` +
    (labelled ? `; by their labels ${missed} missed, ${false_alarms} false alarms` : '');
  const mark = document.getElementById('mark');
  const x = 1000 * (t - slider.min) / (slider.max - slider.min);
  mark.setAttribute('x1', x);
  mark.setAttribute('x2', x);
}
slider.addEventListener('input', update);
const dialog = document.querySelector('dialog');
figures.forEach(f => f.addEventListener('click', () => {
  if (!f.dataset.shown) return;
  dialog.querySelector('img').src = f.dataset.shown;
  dialog.querySelector('p').textContent = f.title;
  dialog.showModal();
}));
dialog.addEventListener('click', () => dialog.close());
update();
