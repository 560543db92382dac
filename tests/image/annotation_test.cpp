#include "nagl/image/annotation.h"

#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include "nagl/core/error.h"
#include "nagl/image/image.h"
#include "support.h"

namespace nagl {
namespace {

using testing::message_of;
using testing::spill;
using testing::TemporaryFolder;

class AnnotationTest : public ::testing::Test {
 protected:
  cv::Mat read(const std::string& text, const std::string& picture = "a.png") const {
    spill(folder / "marks.json", text);
    return read_annotation(folder / "marks.json", picture);
  }
  void refuse(const std::string& text, const std::string& because) const {
    const auto message = message_of<DataError>([&] { read(text); });
    EXPECT_NE(message.find("marks.json"), std::string::npos) << message;
    EXPECT_NE(message.find(because), std::string::npos) << message;
  }
  static std::string labelme(const std::string& shapes) {
    return R"({"imageWidth": 40, "imageHeight": 30, "shapes": [)" + shapes + "]}";
  }

  TemporaryFolder folder;
};

TEST_F(AnnotationTest, LabelMeShapes) {
  const cv::Mat box =
      read(labelme(R"({"label": "x", "shape_type": "rectangle", "points": [[10, 5], [19, 14]]})"));
  EXPECT_EQ(box.size(), cv::Size(40, 30));
  EXPECT_EQ(cv::boundingRect(box), cv::Rect(10, 5, 10, 10));
  EXPECT_EQ(cv::countNonZero(box), 100);

  const cv::Mat triangle =
      read(labelme(R"({"shape_type": "polygon", "points": [[0, 0], [20, 0], [0, 20]]})"));
  EXPECT_NEAR(cv::countNonZero(triangle), 221, 12);  // half of 21 x 21, its edge included
  EXPECT_EQ(triangle.at<uchar>(5, 5), 255);
  EXPECT_EQ(triangle.at<uchar>(19, 19), 0);

  const cv::Mat circle =
      read(labelme(R"({"shape_type": "circle", "points": [[20, 15], [20, 22]]})"));
  EXPECT_NEAR(cv::countNonZero(circle), 3.14159 * 7 * 7, 25);
  const cv::Mat both = read(labelme(
      R"({"shape_type": "rectangle", "points": [[1, 1], [2, 2]]},
         {"shape_type": "point", "points": [[30, 20]]})"));
  EXPECT_EQ(cv::countNonZero(both), 5);
}

TEST_F(AnnotationTest, CocoBoxesAndPolygonsOfOnePictureOfMany) {
  const std::string text = R"({"images": [
      {"id": 7, "file_name": "folder/a.png", "width": 40, "height": 30},
      {"id": 8, "file_name": "b.png", "width": 50, "height": 20},
      {"id": 9, "file_name": "none.png", "width": 50, "height": 20}],
    "annotations": [
      {"image_id": 7, "bbox": [2, 3, 4, 5]},
      {"image_id": 7, "bbox": [0, 0, 39, 29], "segmentation": [[20, 10, 29, 10, 29, 19, 20, 19]]},
      {"image_id": 8, "bbox": [40, 0, 5, 5], "segmentation": []}]})";
  const cv::Mat a = read(text, "somewhere/a.png");
  EXPECT_EQ(a.size(), cv::Size(40, 30));
  EXPECT_EQ(a.at<uchar>(5, 4), 255);
  EXPECT_EQ(a.at<uchar>(15, 25), 255);
  EXPECT_EQ(a.at<uchar>(28, 38), 0);  // the polygon counts, not its box
  EXPECT_EQ(cv::countNonZero(a), 5 * 6 + 100);
  EXPECT_EQ(read(text, "b.png").size(), cv::Size(50, 20));
  EXPECT_NE(message_of<DataError>([&] { read(text, "none.png"); }).find("marks nothing"),
            std::string::npos);
  EXPECT_NE(message_of<DataError>([&] { read(text, "c.png"); }).find("does not list 'c.png'"),
            std::string::npos);
}

TEST_F(AnnotationTest, WhatCannotBeDrawnIsRefused) {
  refuse("{", "not valid JSON");
  refuse("[1, 2]", "neither");
  refuse(R"({"shapes": []})", "width and height");
  refuse(labelme(""), "marks nothing");
  refuse(labelme(R"({"shape_type": "mask", "points": [[1, 1], [2, 2]]})"), "'mask'");
  refuse(labelme(R"({"shape_type": "polygon", "points": [[1, 1], [2, 2]]})"), "three corners");
  refuse(labelme(R"({"shape_type": "polygon", "points": [[1, 1], [2, "x"], [3, 3]]})"), "number");
  refuse(labelme(R"({"shape_type": "rectangle", "points": [1, 2]})"), "pairs");
  refuse(labelme(R"({"shape_type": "rectangle", "points": [[100, 100], [110, 110]]})"), "nothing");
  refuse(R"({"imageWidth": 1e9, "imageHeight": 1e9, "shapes": []})", "width and height");
  refuse(R"({"images": [{"id": 1, "file_name": "a.png", "width": 9, "height": 9}],
             "annotations": [{"image_id": 1, "segmentation": {"counts": "ab", "size": [9, 9]}}]})",
         "run-length");
}

TEST_F(AnnotationTest, StandsForAMaskPicture) {
  cv::Mat picture(30, 40, CV_8UC3, cv::Scalar::all(50));
  write_png(folder / "a.png", picture);
  spill(folder / "a.json",
        labelme(R"({"shape_type": "rectangle", "points": [[10, 5], [19, 14]]})"));
  const Image image = read_image(folder / "a.png");
  EXPECT_EQ(cv::countNonZero(read_masks_for(image, {folder / "a.json"})), 100);
  spill(folder / "b.json", R"({"imageWidth": 50, "imageHeight": 30, "shapes":
        [{"shape_type": "rectangle", "points": [[1, 1], [9, 9]]}]})");
  EXPECT_NE(
      message_of<DataError>([&] { read_mask_for(image, folder / "b.json"); }).find("proportions"),
      std::string::npos);
}

}  // namespace
}  // namespace nagl
