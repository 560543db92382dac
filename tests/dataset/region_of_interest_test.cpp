#include "nagl/dataset/region_of_interest.h"

#include <opencv2/core.hpp>

#include "nagl/core/error.h"
#include "nagl/image/mask.h"
#include "support.h"

namespace nagl {
namespace {

using testing::message_of;
using testing::spill;
using testing::TemporaryFolder;

TEST(RoiFinder, OneForAllOneEachOrNone) {
  const TemporaryFolder folder;
  spill(folder / "roi.png", "mask");
  spill(folder / "rois/line/a_mask.png", "mask");
  const PictureFile a{folder / "new/line/a.jpg", folder / "new"}, b{folder / "new/b.jpg", {}};

  const RoiFinder none;
  EXPECT_TRUE(none.empty());
  EXPECT_FALSE(none.find(a));
  EXPECT_FALSE(none.shared());

  const RoiFinder one(folder / "roi.png");
  EXPECT_EQ(one.shared(), folder / "roi.png");
  EXPECT_EQ(one.find(a), folder / "roi.png");
  EXPECT_EQ(one.find(b), folder / "roi.png");

  const RoiFinder each(folder / "rois");
  EXPECT_FALSE(each.shared());
  EXPECT_EQ(each.find(a), folder / "rois/line/a_mask.png");
  const auto message = message_of<DataError>([&] { each.find(b); });
  EXPECT_NE(message.find("b.jpg"), std::string::npos) << message;
}

TEST(RoiFinder, AnnotationsSayWhereToLookToo) {
  const TemporaryFolder folder;
  write_png(folder / "a.png", cv::Mat(30, 40, CV_8UC3, cv::Scalar::all(50)));
  spill(folder / "rois/a.json", R"({"imageWidth": 40, "imageHeight": 30, "shapes":
        [{"shape_type": "rectangle", "points": [[10, 5], [20, 15]]}]})");
  spill(folder / "coco.json", R"({"images": [{"id": 1, "file_name": "a.png", "width": 40,
        "height": 30}], "annotations": [{"image_id": 1, "bbox": [0, 0, 4, 5]}]})");
  const Image image = read_image(folder / "a.png");
  const auto marked = [&](const std::string& roi) {
    const RoiFinder finder(folder / roi);
    EXPECT_FALSE(finder.shared());  // it differs from picture to picture
    return cv::countNonZero(
        read_mask_for(image, *finder.find({folder / "a.png", folder.path()})).marks);
  };
  EXPECT_EQ(marked("rois"), 100);
  EXPECT_EQ(marked("coco.json"), 20);
}

}  // namespace
}  // namespace nagl
