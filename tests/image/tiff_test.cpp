#include "image/tiff.h"

#include <gtest/gtest.h>

#include <opencv2/core.hpp>

#include "nagl/core/error.h"
#include "nagl/image/image.h"
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

}  // namespace
}  // namespace nagl
