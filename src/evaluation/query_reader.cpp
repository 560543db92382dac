#include "query_reader.h"

#include <opencv2/imgproc.hpp>

namespace nagl {

ReadQuery read_query(const PictureEncoder& encoder, const Category& category, const Sample& sample,
                     const RoiFinder& roi, bool empty_is_good) {
  ReadQuery read;
  read.sample = &sample;
  read.query.image = encoder.read(sample.path);
  const Image& image = read.query.image;
  read.remarks = image.remarks;
  if (const auto where = roi.find({sample.path, category.folder})) {
    Mask region = read_mask_for(image, *where);
    read.query.roi = std::move(region.marks);
    read.remarks.insert(read.remarks.end(), region.remarks.begin(), region.remarks.end());
  }
  read.anomalous = sample.anomalous();
  cv::Mat mask;
  if (!sample.anomalous()) {
    mask = cv::Mat::zeros(image.rgb.size(), CV_8U);
  } else if (!sample.masks.empty()) {
    Mask marked = read_masks_for(image, sample.masks);
    mask = std::move(marked.marks);
    read.remarks.insert(read.remarks.end(), marked.remarks.begin(), marked.remarks.end());
    if (mask.size() != image.rgb.size()) {
      cv::resize(mask, mask, image.rgb.size(), 0, 0, cv::INTER_NEAREST);
    }
  }
  if (mask.empty()) return read;
  read.truth = find_regions({mask.ptr<std::uint8_t>(), mask.total()}, mask.rows, mask.cols);
  if (read.anomalous && read.truth->count() == 0) {
    // A defect that its mask does not show: a good picture by the published code, else unknown.
    if (empty_is_good) {
      read.anomalous = false;
    } else {
      read.truth.reset();
    }
  }
  return read;
}

}  // namespace nagl
