#include "nagl/evaluation/score_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "embedded/score_report.css.h"
#include "embedded/score_report.html.h"
#include "embedded/score_report.js.h"
#include "html.h"
#include "nagl/image/overlay.h"

namespace nagl {
namespace {

constexpr int kThumbnailSide = 150;
constexpr std::size_t kOverlays = 100;

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
  std::string more, decide;
  if (!picture.source.empty()) {
    const auto [first, stride] = overlay_layout(picture.size);
    more += fmt::format(" data-source='{}' data-w='{}' data-h='{}' data-panel='{} {} {} {} {} {}'",
                        escaped(picture.source), picture.size.width, picture.size.height, first.x,
                        first.y, first.width, first.height, stride.x, stride.y);
    decide =
        "<div class='decide'><button class='good'>good</button><button class='bad'>bad</button>"
        "</div>";
  }
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
      "{}</figure>\n",
      picture.score, escaped(picture.path), more, image, picture.score, note, escaped(picture.path),
      decide);
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

  std::string facts, trust, figures;
  for (const auto& [name, value] : report.facts) {
    facts += fmt::format("<dt>{}</dt><dd>{}</dd>", escaped(name), escaped(value));
  }
  for (const auto& sentence : report.trust) {
    trust += fmt::format("<p class='note'>{}</p>", escaped(sentence));
  }
  bool shown = false, linked = false;
  for (const auto& picture : pictures) {
    shown = shown || !picture.shown.empty();
    linked = linked || (picture.shown.empty() && !picture.overlay.empty());
    figures += figure_of(picture);
  }
  const char* click =
      !shown    ? ""
      : !linked ? "A click shows the picture beside its heat map."
                : "A click shows the picture beside its heat map; those of lower scores are read "
                  "from overlays/, beside this file.";
  return fmt::format(
      fmt::runtime(embedded::kScoreReportHtml), fmt::arg("scored", scored),
      fmt::arg("style", embedded::kScoreReportCss), fmt::arg("script", embedded::kScoreReportJs),
      fmt::arg("facts", facts), fmt::arg("trust", trust), fmt::arg("low", low),
      fmt::arg("high", high), fmt::arg("threshold", report.threshold.value_or((low + high) / 2)),
      fmt::arg("uncertain",
               report.uncertain ? fmt::format(" data-uncertain='{:.6f}'", *report.uncertain) : ""),
      fmt::arg("uncalibrated",
               report.threshold
                   ? ""
                   : "<span class='note'>not calibrated: a middle to start from</span>"),
      fmt::arg("histogram", histogram(pictures, low, high)), fmt::arg("figures", figures),
      fmt::arg("click", click));
}

}  // namespace nagl
