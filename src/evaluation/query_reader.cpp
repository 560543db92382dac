#include "query_reader.h"

#include <opencv2/imgproc.hpp>

namespace nagl {

ReadQuery read_query(const Sample& sample, const DetectorOptions& detection, bool empty_is_good) {
  const c10::InferenceMode guard;
  ReadQuery query;
  query.sample = &sample;
  const Image image = read_image(sample.path, detection.decode);
  query.size = image.rgb.size();
  query.pixels = preprocess(image, detection.image_size);
  query.anomalous = sample.anomalous();
  cv::Mat mask;
  if (!sample.anomalous()) {
    mask = cv::Mat::zeros(query.size, CV_8U);
  } else if (!sample.masks.empty()) {
    mask = read_masks_for(image, sample.masks);
    if (mask.size() != query.size) {
      cv::resize(mask, mask, query.size, 0, 0, cv::INTER_NEAREST);
    }
  }
  if (mask.empty()) return query;
  query.truth = find_regions({mask.ptr<std::uint8_t>(), mask.total()}, mask.rows, mask.cols);
  if (query.anomalous && query.truth->count() == 0) {
    // A defect that its mask does not show: a good picture by the published code, else unknown.
    if (empty_is_good) {
      query.anomalous = false;
    } else {
      query.truth.reset();
    }
  }
  return query;
}

}  // namespace nagl
