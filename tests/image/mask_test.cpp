#include "nagl/image/mask.h"

#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include "image/encoded.h"
#include "nagl/core/error.h"
#include "support.h"

namespace nagl {
namespace {

namespace fs = std::filesystem;
using testing::encoded;
using testing::message_of;
using testing::spill;
using testing::TemporaryFolder;

class MaskTest : public ::testing::Test {
 protected:
  /// 6 x 4 pixels, of which (1, 1) and (2, 1) are marked.
  static cv::Mat shape(double ground, double mark, int type = CV_8U) {
    cv::Mat mask(4, 6, type, cv::Scalar::all(ground));
    mask(cv::Rect(1, 1, 2, 1)).setTo(cv::Scalar::all(mark));
    return mask;
  }
  Mask read(const cv::Mat& picture, const std::string& extension = ".png",
            const std::vector<int>& parameters = {}) {
    spill(folder / ("m" + extension), encoded(extension, picture, parameters));
    return read_mask(folder / ("m" + extension));
  }
  static std::vector<cv::Point> places(const Mask& mask) {
    std::vector<cv::Point> marked;
    cv::findNonZero(mask.marks, marked);
    return marked;
  }
  static void expect_shape(const Mask& mask) {
    EXPECT_EQ(places(mask), (std::vector<cv::Point>{{1, 1}, {2, 1}}));
    EXPECT_EQ(mask.marks.at<uchar>(1, 1), 255);
    EXPECT_TRUE(mask.remarks.empty());
  }
  static bool remarks(const Mask& mask, const std::string& kind) {
    return std::any_of(mask.remarks.begin(), mask.remarks.end(),
                       [&](const Remark& remark) { return remark.kind == kind; });
  }

  TemporaryFolder folder;
};

TEST_F(MaskTest, EveryValueAboveZeroOfFewIsAMark) {
  expect_shape(read(shape(0, 1)));
  expect_shape(read(shape(0, 255)));
  expect_shape(read(shape(0, 1, CV_16U)));
  expect_shape(read(shape(0, 3, CV_8UC3), ".bmp"));
  cv::Mat classes = shape(0, 1);
  classes.at<uchar>(1, 2) = 200;
  expect_shape(read(classes));
  cv::Mat red(4, 6, CV_8UC3, cv::Scalar::all(0));
  red(cv::Rect(1, 1, 2, 1)).setTo(cv::Scalar(0, 0, 180));
  expect_shape(read(red));
}

TEST_F(MaskTest, TransparencyIsNoMark) {
  for (const auto& [ground, mark] : std::vector<std::pair<cv::Scalar, cv::Scalar>>{
           {{255, 255, 255, 0}, {255, 255, 255, 255}},  // white on white that is not seen
           {{0, 0, 0, 0}, {0, 0, 0, 255}},              // black, opaque where marked
           {{0, 0, 255, 0}, {0, 0, 255, 255}},
           {{9, 9, 9, 0}, {0, 200, 0, 200}},
           {{0, 0, 0, 255}, {255, 255, 255, 255}}}) {  // its alpha says nothing
    cv::Mat mask(4, 6, CV_8UC4, ground);
    mask(cv::Rect(1, 1, 2, 1)).setTo(mark);
    expect_shape(read(mask));
  }
  // A black ground of which a part is cut away.
  cv::Mat mask(4, 6, CV_8UC4, cv::Scalar(0, 0, 0, 255));
  mask(cv::Rect(1, 1, 2, 1)).setTo(cv::Scalar(255, 255, 255, 255));
  mask.row(3).setTo(cv::Scalar(255, 255, 255, 0));
  expect_shape(read(mask));
}

TEST_F(MaskTest, CompressionAndBlurredEdgesAreNoMark) {
  cv::Mat square = cv::Mat::zeros(64, 64, CV_8U);
  square(cv::Rect(16, 16, 24, 24)).setTo(255);
  const Mask jpeg = read(square, ".jpg", {cv::IMWRITE_JPEG_QUALITY, 60});
  EXPECT_NEAR(cv::countNonZero(jpeg.marks), 576, 12);
  const Mask webp = read(square, ".webp", {cv::IMWRITE_WEBP_QUALITY, 50});
  EXPECT_NEAR(cv::countNonZero(webp.marks), 576, 12);
  cv::Mat soft;
  cv::GaussianBlur(square, soft, {9, 9}, 2);
  const Mask blurred = read(soft);
  EXPECT_NEAR(cv::countNonZero(blurred.marks), 576, 24);
  EXPECT_TRUE(remarks(blurred, "mask of shades"));
  soft.convertTo(soft, CV_8U, 0.4);  // its lightest is 102
  EXPECT_NEAR(cv::countNonZero(read(soft).marks), 576, 24);
}

TEST_F(MaskTest, WhatMarksEverythingIsSaid) {
  const Mask whole = read(shape(1, 2));
  EXPECT_EQ(cv::countNonZero(whole.marks), 24);
  ASSERT_TRUE(remarks(whole, "mask without a ground"));
  EXPECT_NE(whole.remarks[0].text.find("m.png"), std::string::npos);
  EXPECT_TRUE(read(cv::Mat::zeros(4, 6, CV_8U)).remarks.empty());

  Image image;
  image.rgb = cv::Mat(20, 30, CV_8UC3, cv::Scalar::all(9));
  cv::Mat inverted(20, 30, CV_8U, cv::Scalar(255));
  inverted(cv::Rect(3, 3, 4, 4)).setTo(0);
  spill(folder / "i.png", encoded(".png", inverted));
  const Mask seen = read_masks_for(image, {folder / "i.png"});
  EXPECT_EQ(cv::countNonZero(seen.marks), 584);
  EXPECT_TRUE(remarks(seen, "mask of nearly everything"));
  EXPECT_FALSE(remarks(read_mask(folder / "i.png"), "mask of nearly everything"));
}

TEST_F(MaskTest, SeveralAddUp) {
  Image image;
  image.rgb = cv::Mat(4, 6, CV_8UC3, cv::Scalar::all(9));
  cv::Mat other = cv::Mat::zeros(8, 12, CV_8U);
  other(cv::Rect(10, 6, 2, 2)).setTo(255);
  spill(folder / "a.png", encoded(".png", shape(0, 1)));
  spill(folder / "b.png", encoded(".png", other));
  const Mask both = read_masks_for(image, {folder / "a.png", folder / "b.png"});
  EXPECT_EQ(places(both), (std::vector<cv::Point>{{1, 1}, {2, 1}, {5, 3}}));
}

TEST_F(MaskTest, golden) {
  NAGL_NEEDS_TEST_DATA(data);
  const fs::path masks = data / "cases/masks";
  const Image picture = read_image(masks / "picture.jpg");
  const cv::Mat reference = read_mask(masks / "ref.png").marks;
  ASSERT_EQ(cv::countNonZero(reference), 998);
  for (const char* name :
       {"v01.png", "loco_236.png", "onebit_png.png", "onebit_bmp.bmp", "onebit_tif_g4.tif",
        "bit16_png.png", "voc_palette.png", "blue.png", "labels_bw_2class.png", "alpha_white.png",
        "la_white.png", "alpha_redpaint.png", "palette_transparent_bg.png", "alpha_black.png",
        "miniswhite_tif.tif", "bool_float_tif.tif"}) {
    const Mask mask = read_masks_for(picture, {masks / name});
    EXPECT_EQ(cv::norm(mask.marks, reference, cv::NORM_INF), 0) << name;
    EXPECT_TRUE(mask.remarks.empty()) << name << ": " << mask.remarks.front().text;
  }
  for (const char* name : {"jpeg75.jpg", "jpeg95.jpg", "jpeg_rgb75.jpg", "webp_lossy.webp"}) {
    EXPECT_NEAR(cv::countNonZero(read_masks_for(picture, {masks / name}).marks), 998, 30) << name;
  }
  // A thin shape, blurred: what is above half of 255 is less than what was drawn.
  const Mask soft = read_masks_for(picture, {masks / "soft.png"});
  EXPECT_EQ(cv::countNonZero(soft.marks), 861);
  EXPECT_TRUE(remarks(soft, "mask of shades"));
  const Mask twice = read_masks_for(picture, {masks / "double.png"});
  cv::Mat shrunk;
  cv::resize(twice.marks, shrunk, reference.size(), 0, 0, cv::INTER_NEAREST);
  EXPECT_EQ(cv::norm(shrunk, reference, cv::NORM_INF), 0);
  EXPECT_TRUE(remarks(read_masks_for(picture, {masks / "bg1.png"}), "mask without a ground"));
  EXPECT_TRUE(
      remarks(read_masks_for(picture, {masks / "inverted.png"}), "mask of nearly everything"));
}

}  // namespace
}  // namespace nagl
