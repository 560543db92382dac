#include "nagl/detection/detector.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <tuple>
#include <utility>

#include "bind.h"
#include "call.h"
#include "keywords.h"
#include "nagl/core/error.h"
#include "nagl/jobs/bank_preparation.h"
#include "nagl/jobs/remark_log.h"
#include "nagl/jobs/runtime.h"
#include "nagl/jobs/score.h"
#include "pictures.h"

namespace nagl::python {
namespace {

/// What scores, from a bank or its file, and a backbone or its file.
Detector make(nb::handle given_bank, nb::handle given, const nb::kwargs& options) {
  jobs::BankRequest request;
  jobs::RuntimeOptions runtime;
  jobs::VerdictRequest verdict;
  Keywords keywords(options);
  keywords.take("precision", request.encoding.precision);
  keywords.take("max_pixels", request.encoding.max_pixels);
  take_verdict(keywords, verdict);
  take_runtime(keywords, runtime);
  keywords.finish();
  const auto backbone = given_backbone(given, runtime.backbone);
  std::filesystem::path file;
  BankHandle held;
  if (nb::isinstance<BankHandle>(given_bank)) {
    held = nb::cast<BankHandle&>(given_bank);
  } else if (is_path(given_bank)) {
    file = nb::cast<std::filesystem::path>(given_bank);
  } else {
    Keywords::refuse("bank", given_bank, "a nagl.Bank or a path");
  }
  Call call;
  return call.run([&] {
    const jobs::JobObserver observer = call.observer();
    if (!file.empty()) held.bank = load_bank(file, at::kCPU);
    auto used = backbone ? backbone : runtime.backbone.empty() ? held.backbone : nullptr;
    if (!used) {
      used = jobs::encoder_for(file, held.bank, request, runtime, observer).shared_backbone();
    }
    const std::int64_t batch = jobs::batch_size_for(runtime, *used);
    const auto thresholds = verdict.over(held.bank);
    return Detector(std::move(used), std::move(held.bank), batch, thresholds);
  });
}

/// One mask for all pictures, or a list with one for each. @return empty: none
std::vector<GivenMask> masks_of(nb::handle given, std::size_t pictures) {
  std::vector<GivenMask> masks;
  if (given.is_none()) return masks;
  if (!is_list(given)) {
    masks.push_back(mask_from(given, "roi"));
    return masks;
  }
  for (nb::handle one : given) {
    masks.push_back(mask_from(one, fmt::format("roi[{}]", masks.size())));
  }
  if (masks.size() != pictures) {
    throw ConfigError(fmt::format("roi: {} masks for {} pictures; give one for each, or one alone",
                                  masks.size(), pictures));
  }
  return masks;
}

nb::object detect(const Detector& self, nb::handle given, nb::handle roi, nb::object progress) {
  const int bit_depth = self.options().encoding.decode.bit_depth;
  std::vector<Picture> pictures;
  if (is_list(given)) {
    for (nb::handle one : given) {
      pictures.push_back(
          picture_from(one, fmt::format("pictures[{}]", pictures.size()), bit_depth));
    }
  } else {
    pictures.push_back(picture_from(given, "the picture", bit_depth));
  }
  const std::vector<GivenMask> masks = masks_of(roi, pictures.size());

  Call call(std::move(progress));
  std::vector<Detection> seen;
  call.run([&] {
    const auto observer = call.observer();
    jobs::RemarkLog remarks(observer);
    const cv::Mat shared = masks.size() == 1 ? masks.front().read() : cv::Mat();
    auto queries = self.encoder().read_ahead<Query>(pictures.size(), [&](std::size_t i) {
      return Query(pictures[i].read(self.options().encoding.decode),
                   masks.size() > 1 ? masks[i].read() : shared);
    });
    const auto total = static_cast<std::int64_t>(pictures.size());
    DetectionStream stream(self, [&](Detection detection) {
      seen.push_back(std::move(detection));
      observer.advance("scoring", static_cast<std::int64_t>(seen.size()), total);
    });
    for (std::size_t i = 0; i < pictures.size() && !observer.stopped(); ++i) {
      const Query query = queries.next();
      remarks.see(query.image.remarks);
      stream.add(query);
    }
    if (!observer.stopped()) stream.finish();
    remarks.finish();
  });
  if (!is_list(given)) return nb::cast(std::move(seen.front()));
  nb::list all;
  for (auto& detection : seen) all.append(nb::cast(std::move(detection)));
  return all;
}

void bind_detection(nb::module_& module) {
  nb::class_<Region> region(module, "Region",
                            "A connected part of a map that is hotter than its surroundings.");
  region.def_prop_ro(
      "box",
      [](const Region& self) {
        return std::tuple(self.box.x, self.box.y, self.box.width, self.box.height);
      },
      "(x, y, width, height) in pixels.");
  region.def_ro("area", &Region::area, "In pixels.");
  region.def_prop_ro(
      "peak", [](const Region& self) { return std::tuple(self.peak.x, self.peak.y); },
      "(x, y) of the hottest pixel.");
  region.def_ro("peak_score", &Region::peak_score, "The map there, [0, 1].");
  region.def_ro("mean_score", &Region::mean_score, "Mean of the map in the region, [0, 1].");
  region.def("__repr__", [](const Region& self) {
    return fmt::format("<nagl.Region x={} y={} width={} height={} peak_score={:.4f}>", self.box.x,
                       self.box.y, self.box.width, self.box.height, self.peak_score);
  });

  constexpr const char* kFloats = "numpy.typing.NDArray[numpy.float32]";
  nb::class_<Detection> type(module, "Detection", "What was seen in one picture.");
  type.def_ro("image_score", &Detection::image_score,
              "[0, 1]; higher is more anomalous. Of tiles, the largest.");
  type.def_prop_ro(
      "map", [](const Detection& self) { return as_array(self.map); },
      nb::sig(fmt::format("def map(self) -> {}", kFloats).c_str()),
      "float32 [H, W] of the picture's size, [0, 1]; 0 outside the region of interest.");
  type.def_prop_ro(
      "patch_scores", [](const Detection& self) { return as_array(self.patch_scores); },
      nb::sig(fmt::format("def patch_scores(self) -> {}", kFloats).c_str()),
      "float32 [h, w], a value a patch, of a picture with several tiles [tiles, h, w].");
  type.def_prop_ro(
      "verdict", [](const Detection& self) { return to_string(self.verdict); },
      "normal, uncertain or anomalous; unknown without thresholds.");
  type.def_ro("regions", &Detection::regions, "Of the map, by the thresholds, hottest first.");
  type.def_prop_ro(
      "region_mask",
      [](const Detection& self) {
        return self.region_mask.empty() ? nb::none() : as_array(self.region_mask);
      },
      nb::sig("def region_mask(self) -> numpy.typing.NDArray[numpy.uint8] | None"),
      "uint8 [H, W], 255 in the regions; None without thresholds.");
  type.def("__repr__", [](const Detection& self) {
    return fmt::format("<nagl.Detection image_score={:.4f} {}>", self.image_score,
                       to_string(self.verdict));
  });
}

}  // namespace

void bind_detector(nb::module_& module) {
  bind_detection(module);
  nb::class_<Detector> type(
      module, "Detector",
      "Pictures in, detections out. Immutable: threads may share one, and get what one gets.");
  type.def(
      "__init__",
      [](Detector* self, nb::handle bank, nb::handle backbone, const nb::kwargs& options) {
        new (self) Detector(make(bank, backbone, options));
      },
      nb::arg("bank").none(), nb::arg("backbone") = nb::none(), nb::arg("options"),
      nb::sig(
          fmt::format("def __init__(self, bank: Bank | Path, {}, *, {}, "
                      "precision: str | None = None, max_pixels: int | None = None, {}) -> None",
                      kBackbone, kVerdict, kRuntime)
              .c_str()),
      "bank: a bank or its file\n"
      "backbone: one of the bank's layer, or its file; None: the one that the bank was enrolled "
      "with,\n    else $NAGL_BACKBONE\n"
      "threshold: anomalous above this image score; None: as the bank was calibrated\n"
      "map_threshold: regions are hotter than this somewhere; None: the calibration's, else "
      "threshold\n"
      "uncertain: a third verdict, between the two thresholds of the calibration\n"
      "uncertain_threshold: the same, above this image score\n"
      "min_area: smaller regions are none, in pixels\n"
      "precision, device, threads: of a backbone that is loaded here\n"
      "max_pixels: larger files are refused, as width x height\n"
      "batch_size: pictures or tiles a backbone pass; None: 1 on the CPU, 16 on CUDA\n\n"
      "Raises ModelError if the bank belongs to another backbone or layer, ConfigError on "
      "thresholds\nthat make no sense.");
  type.def("detect", detect, nb::arg("pictures").none(), nb::arg("roi") = nb::none(), nb::kw_only(),
           nb::arg("progress") = nb::none(),
           nb::sig("@overload\n"
                   "def detect(self, pictures: list[Picture] | tuple[Picture, ...], roi: Mask | "
                   "Sequence[Mask] | None = None, *, progress: Progress | None = None) -> "
                   "list[Detection]: ...\n"
                   "@overload\n"
                   "def detect(self, pictures: Picture, roi: Mask | None = None, *, progress: "
                   "Progress | None = None) -> Detection"),
           "Scores a picture, or a list of them.\n\n"
           "pictures: each a path, a numpy array uint8 (or uint16) [H, W, 3] RGB or [H, W] grey, a "
           "PIL\n    image or a torch tensor like the arrays\n"
           "roi: where to look: a mask of the picture's proportions, above 0 inside; for a list "
           "one for\n    all, or one for each\n"
           "progress: is called with (stage, done, total)\n\n"
           "Raises DataError naming the picture, the first that cannot be scored. Ctrl-C ends it "
           "between\npictures.");
  type.def_prop_ro(
      "thresholds",
      [](const Detector& self) -> nb::object {
        if (!self.thresholds()) return nb::none();
        const ScoreRange range = self.bank().score_range();
        nb::dict shown;
        shown["image"] = shown_score(self.thresholds()->image, range);
        shown["map"] = shown_score(self.thresholds()->map, range);
        shown["least_area"] = self.thresholds()->least_area;
        if (self.thresholds()->uncertain) {
          shown["uncertain"] = shown_score(*self.thresholds()->uncertain, range);
        }
        return shown;
      },
      nb::sig("def thresholds(self) -> dict[str, float] | None"),
      "What verdicts and regions go by: image, map, least_area (pixels), uncertain; None: "
      "nothing.");
  type.def_prop_ro(
      "grid",
      [](const Detector& self) { return std::tuple(self.grid().rows, self.grid().columns); },
      "(rows, columns) of patches of a picture or tile.");
}

}  // namespace nagl::python
