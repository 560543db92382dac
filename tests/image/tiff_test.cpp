#include "image/tiff.h"

#include <gtest/gtest.h>

#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>

#include "nagl/core/error.h"
#include "nagl/image/image.h"
#include "nagl/image/volume.h"
#include "support.h"

namespace nagl {
namespace {

using testing::message_of;
using testing::slurp;
using testing::TemporaryFolder;

TEST(Tiff, MapsAreWrittenInSixteenBitFloatingPoint) {
  cv::Mat map(3, 2, CV_32F);
  const float values[] = {0, 0.5F, 1, 0.25F, 1.0F / 3, 0.1F};
  std::copy(std::begin(values), std::end(values), map.ptr<float>());
  const auto bytes = encode_float16_tiff(map);
  if (!bytes) GTEST_SKIP() << "built without libtiff";
  // 1 is 0x3C00, 0.5 0x3800, 0.25 0x3400, a third 0x3555, a tenth 0x2E66, in the machine's order.
  const std::uint16_t halves[] = {0, 0x3800, 0x3C00, 0x3400, 0x3555, 0x2E66};
  EXPECT_NE(bytes->find(std::string(reinterpret_cast<const char*>(halves), sizeof halves)),
            std::string::npos);
  try {
    decode_tiff(*bytes, 1000);
    FAIL() << "it is no picture";
  } catch (const TiffFault& fault) {
    EXPECT_TRUE(std::string(fault.what()).find("floating-point samples of 16 bit") !=
                std::string::npos)
        << fault.what();
  }
  const TemporaryFolder folder;
  write_float16_tiff(folder / "map.tiff", map);
  EXPECT_TRUE(slurp(folder / "map.tiff") == *bytes);
  EXPECT_NE(message_of<DataError>([&] {
              write_float16_tiff("/dev/null/map.tiff", map);
            }).find("/dev/null"),
            std::string::npos);
}

TEST(Tiff, PagesAreReadByTheirNumbers) {
  const TemporaryFolder folder;
  std::vector<cv::Mat> pages;
  for (int i = 0; i < 3; ++i) {
    pages.emplace_back(10 + i, 20, CV_8U, cv::Scalar(50 * (i + 1)));
  }
  ASSERT_TRUE(cv::imwritemulti((folder / "three.tif").string(), pages));
  cv::Mat map(1, 1, CV_32F, cv::Scalar(0));
  if (!encode_float16_tiff(map)) GTEST_SKIP() << "built without libtiff";
  for (int i = 0; i < 3; ++i) {
    const Image page = read_image(folder / ("three.tif#" + std::to_string(i)));
    EXPECT_EQ(page.rgb.rows, 10 + i);
    EXPECT_EQ(page.rgb.at<cv::Vec3b>(0, 0)[0], 50 * (i + 1));
    EXPECT_TRUE(page.remarks.empty());
  }
  const Image first = read_image(folder / "three.tif");
  EXPECT_EQ(first.rgb.rows, 10);
  ASSERT_EQ(first.remarks.size(), 1U);  // which is said
  EXPECT_NE(first.remarks[0].text.find("three.tif#all"), std::string::npos);
  EXPECT_EQ(pictures_in(folder / "three.tif#all").size(), 3U);
  EXPECT_EQ(pictures_in(folder / "three.tif"), std::vector{folder / "three.tif"});
  const auto refused = [&](const std::string& name, const std::string& why) {
    const auto message = message_of<DataError>([&] { read_image(folder / name); });
    EXPECT_NE(message.find(why), std::string::npos) << message;
  };
  refused("three.tif#3", "pages 0 to 2");
  refused("three.tif#axial:1", "no part of a picture");
  write_png(folder / "one.png", pages[0]);
  refused("one.png#0", "no part of a picture");
}

}  // namespace
}  // namespace nagl
