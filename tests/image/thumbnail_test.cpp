#include "nagl/image/thumbnail.h"

#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include "image/encoded.h"
#include "nagl/dataset/pictures.h"
#include "nagl/image/image.h"
#include "support.h"

namespace nagl {
namespace {

using testing::encoded;

/// Rectangles of all greys.
cv::Mat scene(std::uint64_t seed) {
  cv::Mat picture(200, 300, CV_8UC3, cv::Scalar::all(120));
  cv::RNG random(seed);
  for (int i = 0; i < 150; ++i) {
    const cv::Point corner(random.uniform(0, 300), random.uniform(0, 200));
    const cv::Point size(random.uniform(10, 60), random.uniform(10, 60));
    cv::rectangle(picture, corner, corner + size, cv::Scalar::all(random.uniform(0, 255)), -1);
  }
  return picture;
}

cv::Mat exported(const cv::Mat& picture, const std::string& extension, int quality) {
  const std::string bytes = encoded(extension, picture, {cv::IMWRITE_JPEG_QUALITY, quality});
  const cv::Mat buffer(1, static_cast<int>(bytes.size()), CV_8U, const_cast<char*>(bytes.data()));
  return cv::imdecode(buffer, cv::IMREAD_COLOR);
}

TEST(Thumbnail, KnowsTheSameShotSavedAgain) {
  const cv::Mat picture = scene(1);
  const Thumbnail original(picture);
  EXPECT_TRUE(original.is_near_copy(original));
  EXPECT_TRUE(original.is_near_copy(Thumbnail(exported(picture, ".jpg", 90))));
  cv::Mat larger;
  cv::resize(picture, larger, {}, 2, 2, cv::INTER_CUBIC);
  EXPECT_TRUE(original.is_near_copy(Thumbnail(larger)));
  EXPECT_TRUE(Thumbnail::of_grey(original.grey()).is_near_copy(original));
}

TEST(Thumbnail, TellsOtherShotsApart) {
  const cv::Mat picture = scene(1);
  const Thumbnail original(picture);
  EXPECT_FALSE(original.is_near_copy(Thumbnail(scene(2))));
  EXPECT_FALSE(original.is_near_copy(Thumbnail()));
  EXPECT_FALSE(Thumbnail().is_near_copy(Thumbnail()));
  cv::Mat again(picture.size(), CV_8UC3);  // the same part, with the noise of another shot
  cv::RNG(3).fill(again, cv::RNG::NORMAL, cv::Scalar::all(0), cv::Scalar::all(25));
  again += picture;
  EXPECT_FALSE(original.is_near_copy(Thumbnail(again)));
  EXPECT_FALSE(original.is_near_copy(Thumbnail(cv::Mat(picture + cv::Scalar::all(20)))));
  const cv::Mat grey(50, 50, CV_8UC3, cv::Scalar::all(90)), dark(50, 50, CV_8UC3);
  EXPECT_TRUE(Thumbnail(grey).is_near_copy(Thumbnail(grey)));
  EXPECT_FALSE(Thumbnail(grey).is_near_copy(Thumbnail(cv::Mat(grey - cv::Scalar::all(20)))));
  EXPECT_FALSE(original.is_near_copy(Thumbnail(grey)));
}

TEST(Thumbnail, golden) {
  NAGL_NEEDS_TEST_DATA(data);
  const auto thumbnails = [](const std::filesystem::path& folder) {
    std::vector<std::pair<std::string, Thumbnail>> made;
    for (const auto& file : list_pictures(folder)) {
      made.emplace_back(file.path.string(), Thumbnail(read_image(file.path).rgb));
    }
    return made;
  };
  const auto copies = thumbnails(data / "cases/near_copies/reencoded");
  ASSERT_EQ(copies.size(), 10U);
  for (std::size_t i = 0; i < copies.size(); ++i) {
    for (std::size_t k = 0; k < i; ++k) {
      EXPECT_EQ(copies[i].second.is_near_copy(copies[k].second), i / 2 == k / 2)
          << copies[i].first << " " << copies[k].first;
    }
  }
  // Boards and fixtured parts are nearly equal by nature; several tiles were photographed twice.
  for (const char* category :
       {"surface/magnetic_tile/test", "objects/toothbrush", "pcb/group50600", "objects/capsule"}) {
    const auto distinct = thumbnails(data / "data" / category);
    for (std::size_t i = 0; i < distinct.size(); ++i) {
      for (std::size_t k = 0; k < i; ++k) {
        EXPECT_FALSE(distinct[i].second.is_near_copy(distinct[k].second))
            << distinct[i].first << " " << distinct[k].first;
      }
    }
  }
}

}  // namespace
}  // namespace nagl
