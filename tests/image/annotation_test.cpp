#include "nagl/image/annotation.h"

#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include "nagl/core/error.h"
#include "nagl/image/mask.h"
#include "nagl/image/preprocess.h"
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
    Image image;
    image.path = picture;
    return read_annotation(folder / "marks.json", image);
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
      read(labelme(R"({"label": "x", "shape_type": "rectangle", "points": [[10, 5], [20, 15]]})"));
  EXPECT_EQ(box.size(), cv::Size(40, 30));
  EXPECT_EQ(cv::boundingRect(box), cv::Rect(10, 5, 10, 10));
  EXPECT_EQ(cv::countNonZero(box), 100);

  const cv::Mat triangle =
      read(labelme(R"({"shape_type": "polygon", "points": [[0, 0], [20, 0], [0, 20]]})"));
  EXPECT_EQ(cv::countNonZero(triangle), 190);  // 19 + 18 + ... + 1: centres within, not on its edge
  EXPECT_EQ(triangle.at<uchar>(5, 5), 255);
  EXPECT_EQ(triangle.at<uchar>(19, 19), 0);

  const cv::Mat circle =
      read(labelme(R"({"shape_type": "circle", "points": [[20, 15], [20, 22]]})"));
  EXPECT_NEAR(cv::countNonZero(circle), 3.14159 * 7 * 7, 6);
  EXPECT_EQ(cv::boundingRect(circle), cv::Rect(13, 8, 14, 14));
  const cv::Mat both = read(labelme(
      R"({"shape_type": "rectangle", "points": [[1, 1], [3, 3]]},
         {"shape_type": "point", "points": [[30, 20]]})"));
  EXPECT_EQ(cv::countNonZero(both), 5);
  EXPECT_EQ(both.at<uchar>(20, 30), 255);
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
  EXPECT_EQ(cv::countNonZero(a), 4 * 5 + 9 * 9);
  EXPECT_EQ(read(text, "b.png").size(), cv::Size(50, 20));
  EXPECT_NE(message_of<DataError>([&] { read(text, "none.png"); }).find("marks nothing"),
            std::string::npos);
  EXPECT_NE(message_of<DataError>([&] { read(text, "c.png"); }).find("does not list 'c.png'"),
            std::string::npos);
}

TEST_F(AnnotationTest, CoordinatesAreEdges) {
  const auto area = [&](const std::string& shape) {
    return cv::countNonZero(read(labelme(shape)));
  };
  // A pixel is marked if its centre, half a pixel from its edges, lies within.
  EXPECT_EQ(area(R"({"shape_type": "rectangle", "points": [[0, 0], [1, 1]]})"), 1);
  EXPECT_EQ(area(R"({"shape_type": "rectangle", "points": [[0, 0], [40, 30]]})"), 1200);
  EXPECT_EQ(area(R"({"shape_type": "rectangle", "points": [[0.4, 0], [2.6, 1]]})"), 3);
  EXPECT_EQ(area(R"({"shape_type": "rectangle", "points": [[0.6, 0], [2.4, 1]]})"), 1);
  EXPECT_EQ(area(R"({"shape_type": "rotation", "points": [[4, 4], [8, 4], [8, 9], [4, 9]]})"), 20);
  EXPECT_EQ(area(R"({"shape_type": "rectangle", "points": [[4, 4], [8, 4], [8, 9], [4, 9]]})"), 20);
  EXPECT_EQ(area(R"({"shape_type": "circle", "points": [[10, 10], [10, 12]]})"), 12);
  // Too small to hold a centre: the pixels that it touches.
  EXPECT_EQ(area(R"({"shape_type": "rectangle", "points": [[3.1, 3.1], [3.3, 3.3]]})"), 1);
  EXPECT_EQ(area(R"({"shape_type": "circle", "points": [[3.2, 3.2], [3.2, 3.3]]})"), 1);
  EXPECT_EQ(area(R"({"shape_type": "line", "points": [[2, 5.5], [8, 5.5]]})"), 7);
  // Beyond the picture.
  EXPECT_EQ(area(R"({"shape_type": "rectangle", "points": [[-5, -5], [2, 2]]})"), 4);
  EXPECT_EQ(
      area(R"({"shape_type": "polygon", "points": [[35, 10], [99, 10], [99, 12], [35, 12]]})"), 10);
}

TEST_F(AnnotationTest, WhatIsNoDefectIsLeftOut) {
  const std::string defect =
      R"({"label": "d", "shape_type": "rectangle", "points": [[0, 0], [2, 2]]})";
  const std::string whole = R"("shape_type": "rectangle", "points": [[0, 0], [40, 30]]})";
  for (const char* label : {"__ignore__", "_background_"}) {
    const std::string other = std::string(R"({"label": ")") + label + "\", " + whole;
    EXPECT_EQ(cv::countNonZero(read(labelme(defect + "," + other))), 4);
    refuse(labelme(other), "marks nothing");
  }
  const auto coco = [](const std::string& more) {
    return R"({"images": [{"id": 1, "file_name": "a.png", "width": 40, "height": 30}],
      "categories": [{"id": 1, "name": "d"}, {"id": 2, "name": "__ignore__"}],
      "annotations": [{"image_id": "1", "category_id": 1, "bbox": [0, 0, 2, 2]},
        {"image_id": 1, "bbox": [0, 0, 40, 30], )" +
           more + "}]}";
  };
  for (const char* more : {R"("ignore": 1)", R"("iscrowd": true)", R"("category_id": "2")"}) {
    EXPECT_EQ(cv::countNonZero(read(coco(more))), 4) << more;
  }
  EXPECT_EQ(cv::countNonZero(read(coco(R"("ignore": 0)"))), 1200);
}

TEST_F(AnnotationTest, RunLengthsGoColumnByColumn) {
  const auto coco = [&](const std::string& segmentation) {
    return read(R"({"images": [{"id": 1, "file_name": "x\\a.png", "width": 4, "height": 3}],
      "annotations": [{"image_id": 1, "segmentation": )" +
                segmentation + "}]}");
  };
  const cv::Mat mask = coco(R"({"size": [3, 4], "counts": [4, 3, 5]})");
  EXPECT_EQ(mask.size(), cv::Size(4, 3));
  const cv::Mat expected = (cv::Mat_<uchar>(3, 4) << 0, 0, 255, 0, 0, 255, 0, 0, 0, 255, 0, 0);
  EXPECT_EQ(cv::norm(mask, expected, cv::NORM_INF), 0);
  EXPECT_EQ(cv::norm(coco(R"({"size": [3, 4], "counts": "435"})"), expected, cv::NORM_INF), 0);
  for (const char* wrong :
       {R"({"size": [3, 4], "counts": [4, 3, 9]})", R"({"size": [4, 3], "counts": [4, 3, 5]})",
        R"({"size": [3, 4], "counts": [4, -3, 11]})", R"({"size": [3, 4], "counts": "4o"})"}) {
    EXPECT_NE(message_of<DataError>([&] { coco(wrong); }).find("whose run"), std::string::npos)
        << wrong;
  }
}

TEST_F(AnnotationTest, golden) {
  NAGL_NEEDS_TEST_DATA(data);
  const auto patches = [&](const std::string& folder_name, const std::string& name) {
    const auto from = data / "cases" / folder_name;
    const Mask mask = read_masks_for(read_image(from / "p.png"), {from / (name + ".json")});
    return marked_patches(mask.marks, 16, 16).sum().item<std::int64_t>();
  };
  for (const char* name :
       {"polygon", "rect2", "rect2_flipped", "rect4", "mask", "old_no_type", "shape_type_null",
        "bom_crlf", "stale_size", "old_no_size", "rotation", "ignore", "hole"}) {
    EXPECT_EQ(patches("labelme", name), 16) << name;
  }
  for (const auto& [name, count] : std::vector<std::pair<const char*, int>>{
           {"line", 4}, {"linestrip", 7}, {"point", 1}, {"outside", 1}, {"circle", 16}}) {
    EXPECT_EQ(patches("labelme", name), count) << name;
  }
  for (const auto& [name, because] : std::vector<std::pair<const char*, const char*>>{
           {"empty_shapes", "marks nothing"}, {"two_points_polygon", "a shape (2, 'd')"}}) {
    const auto message = message_of<DataError>([&] { patches("labelme", name); });
    EXPECT_NE(message.find(name), std::string::npos) << message;
    EXPECT_NE(message.find(because), std::string::npos) << message;
  }
  for (const char* name : {"polygon", "bbox_only", "seg_flat", "rle_uncompressed", "rle_compressed",
                           "polygon_edges", "polygon_none_bbox_list", "string_ids", "mixed_ids",
                           "winpath", "unixpath", "labelstudio", "iscrowd_ignore"}) {
    EXPECT_EQ(patches("coco", name), 16) << name;
  }
  EXPECT_EQ(patches("coco", "box40"), 1);
  EXPECT_EQ(patches("coco", "poly40"), 1);
}

TEST_F(AnnotationTest, OtherToolsFilesNameTheExportToChoose) {
  refuse(R"([{"id": 1, "annotations": [{"result": []}], "data": {"image": "a.png"}}])",
         "Label Studio");
  refuse(R"({"_via_img_metadata": {}, "_via_settings": {}})", "VIA");
  refuse(R"({"a.png123": {"filename": "a.png", "regions": []}})", "VIA");
}

TEST_F(AnnotationTest, WhatCannotBeDrawnIsRefused) {
  refuse("{", "not valid JSON");
  refuse("[1, 2]", "neither");
  refuse(R"({"shapes": []})", "width and height");
  refuse(labelme(""), "marks nothing");
  refuse(labelme(R"({"shape_type": "mask", "points": [[1, 1], [2, 2]]})"), "'mask'");
  refuse(labelme(R"({"shape_type": "cuboid", "points": [[1, 1], [2, 2]]})"), "'cuboid'");
  refuse(labelme(R"({"shape_type": "polygon", "points": [[1, 1], [2, 2]]})"), "three corners");
  refuse(labelme(R"({"shape_type": "polygon", "points": [[1, 1], [2, "x"], [3, 3]]})"), "number");
  refuse(labelme(R"({"shape_type": "rectangle", "points": [1, 2]})"), "pairs");
  refuse(labelme(R"({"shape_type": "rectangle", "points": [[100, 100], [110, 110]]})"), "nothing");
  refuse(R"({"imageWidth": 1e9, "imageHeight": 1e9, "shapes": []})", "width or height");
  refuse(R"({"images": [{"id": 1, "file_name": "a.png", "width": 9, "height": 9}],
             "annotations": [{"image_id": 1, "segmentation": {"counts": "ab", "size": [9, 9]}}]})",
         "whose run");
}

TEST_F(AnnotationTest, StandsForAMaskPicture) {
  cv::Mat picture(30, 40, CV_8UC3, cv::Scalar::all(50));
  write_png(folder / "a.png", picture);
  spill(folder / "a.json",
        labelme(R"({"shape_type": "rectangle", "points": [[10, 5], [20, 15]]})"));
  const Image image = read_image(folder / "a.png");
  EXPECT_EQ(cv::countNonZero(read_masks_for(image, {folder / "a.json"}).marks), 100);
  spill(folder / "b.json", R"({"imageWidth": 50, "imageHeight": 30, "shapes":
        [{"shape_type": "rectangle", "points": [[1, 1], [9, 9]]}]})");
  EXPECT_NE(
      message_of<DataError>([&] { read_mask_for(image, folder / "b.json"); }).find("proportions"),
      std::string::npos);
}

}  // namespace
}  // namespace nagl
