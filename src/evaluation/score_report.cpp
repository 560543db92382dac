#include "nagl/evaluation/score_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "html.h"

namespace nagl {
namespace {

constexpr int kThumbnailSide = 150;
constexpr std::size_t kOverlays = 100;

constexpr const char* kStyle = R"css(
:root { color-scheme: light; --ink: #1b1f24; --soft: #5c6773; --line: #dfe4ea; --back: #f6f8fa;
  --bad: #c53030; --good: #2f855a; }
* { box-sizing: border-box; }
body { margin: 0; font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--back); }
main { max-width: 1240px; margin: 0 auto; padding: 24px 20px 60px; }
h1 { font-size: 24px; margin: 0 0 12px; }
section { background: #fff; border: 1px solid var(--line); border-radius: 10px; padding: 12px 18px;
  margin: 0 0 14px; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 18px; margin: 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
#bar { position: sticky; top: 0; z-index: 1; display: flex; flex-wrap: wrap; gap: 6px 18px;
  align-items: center; }
#bar input { flex: 1 1 300px; }
#bar output { font-variant-numeric: tabular-nums; }
#histogram { width: 100%; height: 60px; display: block; margin-bottom: 14px; }
#grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(160px, 1fr)); gap: 10px; }
figure { margin: 0; background: #fff; border: 1px solid var(--line); border-top: 4px solid var(--good);
  border-radius: 8px; overflow: hidden; cursor: pointer; }
figure.anomalous { border-top-color: var(--bad); }
figure.skipped { border-top-color: var(--line); cursor: default; opacity: .8; }
figure img { width: 100%; height: 130px; object-fit: contain; background: #18181c; display: block; }
figcaption { padding: 4px 8px 6px; font-size: 12px; overflow-wrap: anywhere; }
figcaption b { font-size: 14px; font-variant-numeric: tabular-nums; }
.note { color: var(--soft); font-size: 13px; margin: 6px 0 0; }
dialog { border: 0; border-radius: 10px; padding: 12px; max-width: 96vw; background: #18181c;
  color: #eee; }
dialog img { max-width: 92vw; max-height: 80vh; display: block; }
dialog::backdrop { background: rgba(0, 0, 0, .6); }
dialog button { margin-top: 8px; }
)css";

constexpr const char* kScript = R"js(
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
)js";

std::string to_jpeg(const cv::Mat& rgb, int quality) {
  cv::Mat bgr;
  cv::cvtColor(rgb, bgr, cv::COLOR_RGB2BGR);
  std::vector<unsigned char> bytes;
  cv::imencode(".jpg", bgr, bytes, {cv::IMWRITE_JPEG_QUALITY, quality});
  return {bytes.begin(), bytes.end()};
}

/// A relative path for a URL.
std::string url_of(const std::string& path) {
  std::string url;
  for (const char c : path) {
    const bool plain = std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '/' || c == '.' ||
                       c == '-' || c == '_';
    url += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return url;
}

std::string data_url(const std::string& jpeg) { return "data:image/jpeg;base64," + base64(jpeg); }

std::string figure_of(const ReportPicture& picture) {
  const std::string image = picture.thumbnail.empty()
                                ? ""
                                : fmt::format("<img alt='' src='{}'>", data_url(picture.thumbnail));
  if (!picture.error.empty()) {
    return fmt::format(
        "<figure class='skipped' title='{0}'>{1}<figcaption><b>skipped</b><br>{2}<br>{0}"
        "</figcaption></figure>\n",
        escaped(picture.error), image, escaped(picture.path));
  }
  std::string more;
  if (!picture.label.empty()) {
    more += fmt::format(" data-bad='{}'", picture.label == "good" ? 0 : 1);
  }
  if (!picture.shown.empty()) {
    more += fmt::format(" data-shown='{}'", data_url(picture.shown));
  } else if (!picture.overlay.empty()) {
    more += fmt::format(" data-shown='{}'", url_of(picture.overlay));
  }
  std::string note = picture.label.empty() ? "" : "label " + escaped(picture.label);
  if (picture.verdict != Verdict::kUnknown) {
    note += fmt::format("{}{} region{}", note.empty() ? "" : ", ", picture.regions,
                        picture.regions == 1 ? "" : "s");
  }
  return fmt::format(
      "<figure data-score='{:.6f}' title='{}'{}>{}<figcaption><b>{:.4f}</b> {}<br>{}</figcaption>"
      "</figure>\n",
      picture.score, escaped(picture.path), more, image, picture.score, note,
      escaped(picture.path));
}

/// How many pictures have which score, and a line where the threshold is.
std::string histogram(const std::vector<ReportPicture>& pictures, double low, double high) {
  constexpr int kBins = 100;
  std::vector<int> counts(kBins);
  for (const auto& picture : pictures) {
    if (!picture.error.empty()) continue;
    const double place = (picture.score - low) / (high - low) * kBins;
    ++counts[static_cast<std::size_t>(std::clamp(place, 0.0, kBins - 1.0))];
  }
  const int most = std::max(1, *std::max_element(counts.begin(), counts.end()));
  std::string svg =
      "<svg id='histogram' viewBox='0 0 1000 60' preserveAspectRatio='none' role='img' "
      "aria-label='number of pictures by score'>";
  for (int i = 0; i < kBins; ++i) {
    const double height = 56.0 * counts[static_cast<std::size_t>(i)] / most;
    if (height == 0) continue;
    svg += fmt::format("<rect x='{}' y='{:.1f}' width='9' height='{:.1f}' fill='#8aa4c8'/>", 10 * i,
                       60 - height, height);
  }
  return svg + "<line id='mark' y1='0' y2='60' stroke='#c53030' stroke-width='2'/></svg>\n";
}

}  // namespace

void add_jpegs(ReportPicture& picture, const cv::Mat& rgb, const cv::Mat& overlay) {
  if (!rgb.empty()) {
    const double factor = static_cast<double>(kThumbnailSide) / std::max(rgb.cols, rgb.rows);
    cv::Mat small;
    cv::resize(rgb, small,
               cv::Size(std::max(1, static_cast<int>(std::lround(rgb.cols * factor))),
                        std::max(1, static_cast<int>(std::lround(rgb.rows * factor)))),
               0, 0, factor < 1 ? cv::INTER_AREA : cv::INTER_LINEAR);
    picture.thumbnail = to_jpeg(small, 80);
  }
  if (!overlay.empty()) picture.shown = to_jpeg(overlay, 85);
}

void keep_hottest_overlays(std::vector<ReportPicture>& pictures) {
  std::vector<ReportPicture*> shown;
  for (auto& picture : pictures) {
    if (!picture.shown.empty()) shown.push_back(&picture);
  }
  if (shown.size() < 2 * kOverlays) return;
  std::sort(shown.begin(), shown.end(),
            [](const ReportPicture* a, const ReportPicture* b) { return a->score > b->score; });
  for (std::size_t i = kOverlays; i < shown.size(); ++i) {
    shown[i]->shown.clear();
    shown[i]->shown.shrink_to_fit();
  }
}

std::string score_report_html(ScoreReport report) {
  auto& pictures = report.pictures;
  std::stable_sort(
      pictures.begin(), pictures.end(), [](const ReportPicture& a, const ReportPicture& b) {
        return std::pair(!a.error.empty(), -a.score) < std::pair(!b.error.empty(), -b.score);
      });
  double low = 1, high = 0;
  std::size_t scored = 0;
  for (const auto& picture : pictures) {
    if (!picture.error.empty()) continue;
    ++scored;
    low = std::min(low, picture.score);
    high = std::max(high, picture.score);
  }
  if (scored == 0) low = 0, high = 1;
  if (report.threshold) {
    low = std::min(low, *report.threshold);
    high = std::max(high, *report.threshold);
  }
  const double margin = std::max(1e-4, 0.02 * (high - low));
  low -= margin;
  high += margin;

  std::string html = fmt::format(
      "<!DOCTYPE html>\n<html lang='en'><head><meta charset='utf-8'>"
      "<meta name='viewport' content='width=device-width, initial-scale=1'>"
      "<title>nagl: {} pictures</title><style>{}</style></head><body><main>\n"
      "<h1>{} pictures, the most anomalous first</h1>\n<section><dl>",
      scored, kStyle, scored);
  for (const auto& [name, value] : report.facts) {
    html += fmt::format("<dt>{}</dt><dd>{}</dd>", escaped(name), escaped(value));
  }
  html += "</dl>";
  for (const auto& sentence : report.trust) {
    html += fmt::format("<p class='note'>{}</p>", escaped(sentence));
  }
  html += fmt::format(
      "</section>\n<section id='bar'><label for='threshold'>threshold</label><input id='threshold' "
      "type='range' min='{:.6f}' max='{:.6f}' step='any' value='{:.6f}'>"
      "<output id='said' for='threshold'></output>{}</section>\n",
      low, high, report.threshold.value_or((low + high) / 2),
      report.threshold ? "" : "<span class='note'>not calibrated: a middle to start from</span>");
  html += histogram(pictures, low, high);
  bool shown = false, linked = false;
  for (const auto& picture : pictures) {
    shown = shown || !picture.shown.empty();
    linked = linked || (picture.shown.empty() && !picture.overlay.empty());
  }
  html += "<div id='grid'>\n";
  for (const auto& picture : pictures) html += figure_of(picture);
  html += fmt::format(
      "</div>\n<p class='note'>{}</p>"
      "<dialog><img alt='overlay'><p></p><button>close</button></dialog>\n"
      "<script>{}</script></main></body></html>\n",
      !shown    ? ""
      : !linked ? "A click shows the picture beside its heat map."
                : "A click shows the picture beside its heat map; those of lower scores are read "
                  "from overlays/, beside this file.",
      kScript);
  return html;
}

}  // namespace nagl
