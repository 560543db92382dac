#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "nagl/core/atomic_file.h"
#include "nagl/training/run_folder.h"

namespace nagl {
namespace {

constexpr double kWidth = 760, kPanelHeight = 240;
constexpr double kLeft = 64, kRight = 150, kTop = 36, kBottom = 40;

struct Series {
  std::string name, colour;
  std::function<double(const EpochRecord&)> value;
};

/// A range of values with round ends and steps.
struct Axis {
  double low, high, step;

  Axis(double least, double most) {
    const double span = std::max(most - least, 1e-6 + 1e-3 * std::abs(most));
    const double magnitude = std::pow(10, std::floor(std::log10(span / 4)));
    const double ratio = span / 4 / magnitude;
    step = magnitude * (ratio > 5 ? 10 : ratio > 2 ? 5 : ratio > 1 ? 2 : 1);
    low = std::floor(least / step) * step;
    high = std::max(std::ceil(most / step) * step, low + step);
  }
};

std::string text_at(double x, double y, const std::string& anchor, const std::string& text,
                    const std::string& colour = "#444") {
  return fmt::format("<text x='{:.1f}' y='{:.1f}' text-anchor='{}' fill='{}'>{}</text>\n", x, y,
                     anchor, colour, text);
}

/// One panel with a line for each series, `top` below the picture's top.
std::string panel(const std::string& title, double top, const std::vector<EpochRecord>& history,
                  const std::vector<Series>& lines) {
  double least = std::numeric_limits<double>::infinity(), most = -least;
  for (const auto& record : history) {
    for (const auto& line : lines) {
      least = std::min(least, line.value(record));
      most = std::max(most, line.value(record));
    }
  }
  const Axis axis(least, most);
  const double plot_width = kWidth - kLeft - kRight, plot_height = kPanelHeight - kTop - kBottom;
  const auto last = static_cast<double>(history.back().epoch);
  const auto x_of = [&](double epoch) {
    return kLeft + (last > 1 ? (epoch - 1) / (last - 1) : 0.5) * plot_width;
  };
  const auto y_of = [&](double value) {
    return top + kTop + (axis.high - value) / (axis.high - axis.low) * plot_height;
  };
  std::string svg = text_at(kLeft, top + 22, "start", title, "#111");
  const auto ticks = std::llround((axis.high - axis.low) / axis.step);
  for (std::int64_t i = 0; i <= ticks; ++i) {
    const double value = axis.low + static_cast<double>(i) * axis.step;
    svg +=
        fmt::format("<line x1='{0:.1f}' x2='{1:.1f}' y1='{2:.1f}' y2='{2:.1f}' stroke='#ddd'/>\n",
                    kLeft, kLeft + plot_width, y_of(value));
    svg += text_at(kLeft - 8, y_of(value) + 4, "end", fmt::format("{:.6g}", value));
  }
  const std::int64_t every = std::max<std::int64_t>(1, (history.back().epoch + 9) / 10);
  for (std::int64_t epoch = 1; epoch <= history.back().epoch; epoch += every) {
    svg += text_at(x_of(static_cast<double>(epoch)), top + kPanelHeight - kBottom + 18, "middle",
                   std::to_string(epoch));
  }
  svg += text_at(kLeft + plot_width, top + kPanelHeight - 6, "end", "epoch");
  double label_y = top + kTop + 10;
  for (const auto& line : lines) {
    std::string points;
    for (const auto& record : history) {
      points += fmt::format("{:.1f},{:.1f} ", x_of(static_cast<double>(record.epoch)),
                            y_of(line.value(record)));
    }
    svg += fmt::format("<polyline points='{}' fill='none' stroke='{}' stroke-width='2'/>\n", points,
                       line.colour);
    if (history.size() == 1) {  // a line of one point is not seen
      svg += fmt::format("<circle cx='{:.1f}' cy='{:.1f}' r='3' fill='{}'/>\n", x_of(1),
                         y_of(line.value(history.front())), line.colour);
    }
    svg += text_at(kLeft + plot_width + 12, label_y, "start",
                   fmt::format("{} {:.4f}", line.name, line.value(history.back())), line.colour);
    label_y += 18;
  }
  return svg;
}

}  // namespace

void write_curve(const std::filesystem::path& path, const std::vector<EpochRecord>& history) {
  if (history.empty()) return;
  std::string panels =
      panel("Training loss (mean over the epoch's episodes)", 0, history,
            {{"total", "#111", [](const auto& r) { return r.loss; }},
             {"classification", "#1f77b4", [](const auto& r) { return r.classification; }},
             {"focal", "#d62728", [](const auto& r) { return r.focal; }},
             {"Dice", "#2ca02c", [](const auto& r) { return r.dice; }}});
  double height = kPanelHeight;
  const bool validated = std::all_of(history.begin(), history.end(), [](const EpochRecord& record) {
    return record.validation.has_value();
  });
  if (validated) {
    panels +=
        panel("Validation on held-out source pictures", height, history,
              {{"image AUROC", "#1f77b4", [](const auto& r) { return r.validation->image_auroc; }},
               {"pixel AUROC", "#d62728", [](const auto& r) { return r.validation->pixel_auroc; }},
               {"PRO", "#2ca02c", [](const auto& r) { return r.validation->pro; }}});
    height += kPanelHeight;
  }
  write_file(
      path, fmt::format("<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {0} {1}' width='{0}' "
                        "height='{1}' font-family='sans-serif' font-size='12'>\n"
                        "<rect width='100%' height='100%' fill='white'/>\n{2}</svg>\n",
                        kWidth, height, panels));
}

}  // namespace nagl
