#include "nagl/image/image_bytes.h"

#include <gtest/gtest.h>

#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>
#include <string>

#include "image/encoded.h"
#include "nagl/core/error.h"
#include "support.h"

namespace nagl {
namespace {

using testing::encoded;
using testing::message_of;
using testing::slurp;
using testing::spill;
using testing::TemporaryFolder;

/// Every value once, so that no other picture is equal.
cv::Mat ramp(int type) {
  cv::Mat ramp(16, 24, type);
  cv::randu(ramp, 0, ramp.depth() == CV_16U ? 65536 : 256);
  return ramp;
}

TEST(ImageBytes, AreReadAsTheirFileIs) {
  const TemporaryFolder folder;
  for (const int type : {CV_8UC1, CV_8UC3, CV_8UC4, CV_16UC1, CV_16UC3}) {
    for (const std::string extension : {".png", ".tif"}) {
      const std::string bytes = encoded(extension, ramp(type));
      const auto path = folder / ("picture" + extension);
      spill(path, bytes);
      const Image of_file = read_image(path), of_bytes = decode_image(bytes, "picture");
      EXPECT_EQ(cv::norm(of_file.rgb, of_bytes.rgb, cv::NORM_INF), 0) << type << extension;
      EXPECT_EQ(of_bytes.path, "picture");
      EXPECT_EQ(of_file.remarks.size(), of_bytes.remarks.size());
    }
  }
}

TEST(ImageBytes, TheNameOpensNothing) {
  const TemporaryFolder folder;
  const auto path = folder / "there.png";
  spill(path, encoded(".png", ramp(CV_8UC3)));
  for (const std::string& name :
       {path.string(), path.string() + "#0", std::string("x.nii.gz#axial:1"),
        std::string("/dev/zero"), std::string("a.dcm#2")}) {
    const std::string why = message_of<DataError>([&] { decode_image("no picture", name); });
    EXPECT_EQ(why.find("'" + name + "' is not a picture"), 0U) << why;
  }
  EXPECT_NE(message_of<DataError>([] { decode_image("", "a.png"); }).find("is empty"),
            std::string::npos);
}

TEST(ImageBytes, AreBounded) {
  DecodeOptions options;
  options.max_pixels = 16 * 24 - 1;
  const std::string bytes = encoded(".png", ramp(CV_8UC3));
  EXPECT_NE(message_of<DataError>([&] { decode_image(bytes, "a.png", options); }).find("24x16"),
            std::string::npos);
  const std::string jpeg = encoded(".jpg", ramp(CV_8UC3));
  EXPECT_NE(message_of<DataError>([&] {
              decode_image(jpeg.substr(0, jpeg.size() / 2), "a.jpg");
            }).find("truncated"),
            std::string::npos);
}

TEST(ImageBytes, OfAPngAreThoseOfItsFile) {
  const TemporaryFolder folder;
  for (const int type : {CV_8UC3, CV_8UC1, CV_16UC1}) {
    const cv::Mat picture = ramp(type);
    write_png(folder / "a.png", picture);
    EXPECT_EQ(encode_png(picture), slurp(folder / "a.png"));
  }
}

}  // namespace
}  // namespace nagl
