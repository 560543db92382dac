#include <unistd.h>

#include <filesystem>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "nagl/core/error.h"
#include "nagl/detection/detector.h"
#include "nagl/image/anomaly_map.h"
#include "nagl/image/overlay.h"
#include "nagl/image/preprocess.h"
#include "nagl/jobs/benchmark.h"

namespace nagl::jobs {
namespace {

/// A PNG of 1024 x 1024 as dense as a photograph, in memory that is called a file.
class MadePicture {
 public:
  MadePicture() {
    cv::Mat picture(1024, 1024, CV_8UC3), grain(picture.size(), CV_8UC3);
    cv::RNG random(0);
    random.fill(picture, cv::RNG::UNIFORM, 0, 256);
    random.fill(grain, cv::RNG::UNIFORM, 0, 6);
    cv::GaussianBlur(picture, picture, {}, 8);
    cv::normalize(picture, picture, 20, 230, cv::NORM_MINMAX);
    picture += grain;
    path_ = (std::filesystem::temp_directory_path() /
             ("nagl-benchmark-" + std::to_string(::getpid()) + ".png"))
                .string();
    if (!cv::imwrite(path_, picture)) {
      throw DataError("'" + path_ + "' cannot be written; set $TMPDIR to a folder that can");
    }
  }
  ~MadePicture() {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }
  MadePicture(const MadePicture&) = delete;
  MadePicture& operator=(const MadePicture&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

Bank bank_of(const BenchmarkSubject& subject) {
  Bank bank;
  bank.options.method = Method::kNagl;
  bank.options.encoding.image_size = subject.image_size;
  bank.origin = origin_without_checksum(*subject.backbone);
  TrainedHead head;
  head.head = subject.head;
  head.origin = bank.origin;
  bank.head = std::move(head);
  bank.features = subject.references;
  return bank;
}

}  // namespace

std::vector<BenchmarkPart> picture_parts(const BenchmarkSubject& subject) {
  std::shared_ptr<const MadePicture> made;
  std::string path = subject.picture;
  if (path.empty()) {
    made = std::make_shared<const MadePicture>();
    path = made->path();
  }
  const DecodeOptions decode;
  const Image image = read_image(path, decode);
  const auto detector =
      std::make_shared<const Detector>(subject.backbone, bank_of(subject), /*batch_size=*/1);
  const ImageSize size = subject.image_size;
  const at::Device device = subject.backbone->device();
  const at::Tensor scores = torch::rand({subject.grid.rows, subject.grid.columns});
  const cv::Mat map = make_anomaly_map(scores, image.rgb.size());
  OverlayContent content;
  content.rgb = image.rgb;
  content.map = map;
  content.scale = scale_of(map);
  content.caption = "score 0.500";
  const std::string shape = std::to_string(image.rgb.cols) + " x " + std::to_string(image.rgb.rows);
  return {
      {"decode", "a file of " + shape, [made, path, decode] { read_image(path, decode); }, 0},
      {"resize", "to the network's size, and normalise",
       [image, size, device] { preprocess(image.rgb, size, device); }, 0},
      {"map", "patch scores to a map of " + shape,
       [scores, image] { make_anomaly_map(scores, image.rgb.size()); }, 0},
      {"overlay", "drawn beside the picture", [content] { draw_overlay(content); }, 0},
      {"picture", "from file to score and map, method nagl",
       [made, path, decode, detector] { detector->detect(read_image(path, decode)); }, 0},
  };
}

}  // namespace nagl::jobs
