#pragma once

#include <memory>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include "nagl/detection/bank_builder.h"
#include "nagl/detection/detector.h"
#include "tensors.h"

namespace nagl::testing {

/// Grey noise with, where asked for, a bright square.
inline cv::Mat part(std::uint64_t seed, bool defect, cv::Size size = {160, 120}) {
  cv::Mat picture(size, CV_8UC3);
  cv::RNG(seed).fill(picture, cv::RNG::NORMAL, cv::Scalar::all(100), cv::Scalar::all(12));
  if (defect) cv::rectangle(picture, cv::Rect(100, 30, 30, 30), cv::Scalar(250, 240, 40), -1);
  return picture;
}

inline cv::Mat defect_mask() {
  cv::Mat mask = cv::Mat::zeros(120, 160, CV_8U);
  cv::rectangle(mask, cv::Rect(100, 30, 30, 30), cv::Scalar(255), -1);
  return mask;
}

/// Three pictures of such parts and one defect, scored at a small size.
class PartsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    NAGL_NEEDS_BACKBONE(weights);
    backbone = std::make_shared<Backbone>(weights, BackboneOptions());
    options.method = Method::kNormalNn;
    options.encoding.image_size = {112, 140};
    for (std::uint64_t i = 0; i < 3; ++i) {
      references.normal.push_back(folder / (std::to_string(i) + ".png"));
      write_png(references.normal.back(), part(i, false));
    }
    write_png(folder / "bad.png", part(7, true));
    write_png(folder / "bad_mask.png", defect_mask());
    write_png(folder / "empty_mask.png", cv::Mat::zeros(120, 160, CV_8U));
    references.abnormal = {{folder / "bad.png", {folder / "bad_mask.png"}}};
  }

  TrainedHead untrained_head() const {
    TrainedHead head;
    head.head = NaglHead(NaglHeadOptions());
    head.head->initialize(1);
    head.head->eval();
    head.origin = origin_of(*backbone);
    return head;
  }
  Detector detector() const {
    return Detector(backbone, make_bank(backbone, references, options, {}, 2));
  }
  static Query query(std::uint64_t seed, bool defect) {
    return Query({part(seed, defect), {}, {}});
  }

  TemporaryFolder folder;
  std::shared_ptr<const Backbone> backbone;
  BankOptions options;
  BankPictures references;
};

}  // namespace nagl::testing
