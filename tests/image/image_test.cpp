#include "nagl/image/image.h"

#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "image/encoded.h"
#include "image/tiff.h"
#include "nagl/core/error.h"
#include "nagl/image/mask.h"
#include "support.h"

namespace nagl {
namespace {

using testing::encoded;
using testing::message_of;
using testing::slurp;
using testing::spill;
using testing::TemporaryFolder;

/// Blue left, red right, a green corner: no turn or mirroring maps it onto itself.
cv::Mat scene_bgr(int height = 40, int width = 60) {
  cv::Mat scene(height, width, CV_8UC3, cv::Scalar(200, 0, 0));
  scene.colRange(width / 2, width).setTo(cv::Scalar(0, 0, 200));
  scene(cv::Rect(0, 0, width / 4, height / 4)).setTo(cv::Scalar(0, 200, 0));
  return scene;
}

/// A JPEG with an EXIF orientation (APP1 with a TIFF directory of one entry).
std::string turned_jpeg(const cv::Mat& stored, char orientation) {
  const std::string jpeg = encoded(".jpg", stored);
  const std::string tiff("II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0", 18);
  std::string segment = std::string("Exif\0\0", 6) + tiff + orientation + std::string(7, '\0');
  const auto length = static_cast<unsigned char>(segment.size() + 2);
  segment = std::string("\xFF\xE1\0", 3) + static_cast<char>(length) + segment;
  return jpeg.substr(0, 2) + segment + jpeg.substr(2);
}

double difference(const cv::Mat& a, const cv::Mat& b) { return cv::norm(a, b, cv::NORM_INF); }

class ImageTest : public ::testing::Test {
 protected:
  std::filesystem::path file(const std::string& name, const std::string& bytes) {
    spill(folder / name, bytes);
    return folder / name;
  }
  TemporaryFolder folder;
};

TEST_F(ImageTest, ReadsEveryFormatAsRgb) {
  const cv::Mat bgr = scene_bgr();
  cv::Mat rgb;
  cv::cvtColor(bgr, rgb, cv::COLOR_BGR2RGB);
  for (const std::string extension : {".png", ".bmp", ".tiff", ".ppm", ".webp", ".jpg"}) {
    const auto image = read_image(file("a" + extension, encoded(extension, bgr)));
    EXPECT_EQ(image.rgb.type(), CV_8UC3);
    EXPECT_EQ(image.rgb.size(), rgb.size());
    const bool lossy = extension == ".jpg" || extension == ".webp";
    EXPECT_LE(cv::norm(image.rgb, rgb, cv::NORM_L1) / static_cast<double>(rgb.total() * 3),
              lossy ? 12 : 0)
        << extension;
  }
}

TEST_F(ImageTest, GreyAndAlpha) {
  const cv::Mat grey = (cv::Mat_<uchar>(1, 3) << 0, 100, 255);
  const auto from_grey = read_image(file("g.png", encoded(".png", grey)));
  EXPECT_EQ(from_grey.rgb.at<cv::Vec3b>(0, 1), cv::Vec3b(100, 100, 100));
  const cv::Mat bgra(2, 2, CV_8UC4, cv::Scalar(10, 20, 30, 0));
  const auto from_alpha = read_image(file("a.png", encoded(".png", bgra)));
  EXPECT_EQ(from_alpha.rgb.at<cv::Vec3b>(0, 0), cv::Vec3b(30, 20, 10));
}

TEST_F(ImageTest, SixteenBits) {
  const cv::Mat full = (cv::Mat_<ushort>(1, 4) << 0, 257, 25700, 65535);
  const auto path = file("full.png", encoded(".png", full));
  const auto image = read_image(path);
  EXPECT_TRUE(image.remarks.empty());
  for (const auto& [x, value] : {std::pair(0, 0), {1, 1}, {2, 100}, {3, 255}}) {
    EXPECT_EQ(image.rgb.at<cv::Vec3b>(0, x)[1], value);
  }
  const cv::Mat dark = (cv::Mat_<ushort>(1, 3) << 0, 2048, 4095);
  const auto dark_path = file("dark.tiff", encoded(".tiff", dark));
  EXPECT_EQ(read_image(dark_path).remarks.at(0).kind, "low values");
  DecodeOptions options;
  options.bit_depth = 12;
  const auto bright = read_image(dark_path, options);
  EXPECT_TRUE(bright.remarks.empty());
  EXPECT_EQ(bright.rgb.at<cv::Vec3b>(0, 1)[0], 128);
  EXPECT_EQ(bright.rgb.at<cv::Vec3b>(0, 2)[0], 255);
  for (const int wrong : {8, 17}) {
    options.bit_depth = wrong;
    EXPECT_THROW(read_image(dark_path, options), ConfigError);
  }
  const cv::Mat floating(2, 2, CV_32FC3, cv::Scalar::all(0.5));
  EXPECT_NE(message_of<DataError>([&] {
              read_image(file("f.tiff", encoded(".tiff", floating)));
            }).find("8 or 16 bit"),
            std::string::npos);
}

TEST_F(ImageTest, ExifTurnsThePictureAndItsMaskIfTheMaskIsOfTheStoredSize) {
  const cv::Mat stored = scene_bgr(40, 60);
  cv::Mat mask = cv::Mat::zeros(40, 60, CV_8U);
  mask(cv::Rect(0, 0, 15, 10)).setTo(255);  // the green corner
  const auto mask_path = file("mask.png", encoded(".png", mask));
  for (const char orientation : {1, 2, 3, 4, 5, 6, 7, 8}) {
    SCOPED_TRACE(static_cast<int>(orientation));
    const auto image = read_image(file("turned.jpg", turned_jpeg(stored, orientation)));
    const bool quarter = orientation >= 5;
    EXPECT_EQ(image.rgb.size(), quarter ? cv::Size(40, 60) : cv::Size(60, 40));
    const cv::Mat own = read_mask_for(image, mask_path).marks;
    ASSERT_EQ(own.size(), image.rgb.size());
    if (!quarter) {
      EXPECT_EQ(difference(own, mask), 0);  // its size does not say, so it stays as it is
      continue;
    }
    cv::Mat green;  // where the green corner is in the upright picture
    cv::inRange(image.rgb, cv::Scalar(0, 120, 0), cv::Scalar(110, 255, 110), green);
    const double overlap = cv::countNonZero(green & own);
    EXPECT_GT(overlap / cv::countNonZero(green | own), 0.7);
    cv::Mat upright = cv::Mat::zeros(image.rgb.size(), CV_8U);
    upright.at<uchar>(5, 3) = 255;
    const cv::Mat kept = read_mask_for(image, file("upright.png", encoded(".png", upright))).marks;
    EXPECT_EQ(difference(kept, upright), 0);
  }
}

TEST_F(ImageTest, MasksOfOtherProportionsAreRefused) {
  const auto image = read_image(file("a.png", encoded(".png", scene_bgr(40, 60))));
  const auto mask = [&](int height, int width) {
    return read_mask_for(
               image, file("m.png", encoded(".png", cv::Mat(height, width, CV_8U, cv::Scalar(1)))))
        .marks;
  };
  EXPECT_EQ(cv::countNonZero(mask(20, 30)), 600);  // a common factor is fine
  EXPECT_EQ(cv::countNonZero(mask(80, 120)), 9600);
  const auto message = message_of<DataError>([&] { mask(60, 40); });
  EXPECT_NE(message.find("m.png"), std::string::npos) << message;
  EXPECT_NE(message.find("a.png"), std::string::npos) << message;
  EXPECT_NE(message.find("60x40"), std::string::npos) << message;
}

TEST_F(ImageTest, PnmIsScaledByWhatItCallsWhite) {
  for (const auto& [header, pixels, expected] :
       std::vector<std::tuple<std::string, std::string, std::vector<int>>>{
           {"P5\n# a comment\n3 1\n100\n", std::string("\x00\x32\x64", 3), {0, 128, 255}},
           {"P5 3 1 1023\n", std::string("\x00\x00\x01\xFF\x03\xFF", 6), {0, 127, 255}},
           {"P2 3 1 4095\n", "0 2048 4095\n", {0, 128, 255}},
           {"P5 3 1 255\n", std::string("\x00\x80\xFF", 3), {0, 128, 255}}}) {
    const Image image = read_image(file("a.pgm", header + pixels));
    ASSERT_EQ(image.rgb.size(), cv::Size(3, 1)) << header;
    EXPECT_TRUE(image.remarks.empty()) << header;
    for (int x = 0; x < 3; ++x) {
      EXPECT_NEAR(image.rgb.at<cv::Vec3b>(0, x)[0], expected[static_cast<std::size_t>(x)], 1)
          << header << x;
    }
  }
}

TEST_F(ImageTest, WebpIsTurnedUpright) {
  cv::Mat scene = scene_bgr();
  const std::string plain = encoded(".webp", scene, {cv::IMWRITE_WEBP_QUALITY, 101});
  const std::string image_chunk = plain.substr(12);
  const auto number = [](std::size_t value, int bytes) {
    std::string text;
    for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> 8 * i & 0xFF);
    return text;
  };
  for (const char orientation : {1, 3, 6, 8}) {
    const std::string exif = std::string("II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0", 18) +
                             orientation + std::string(7, '\0');
    const std::string extended =
        "VP8X" + number(10, 4) + number(8, 4) + number(59, 3) + number(39, 3);
    const std::string body =
        "WEBP" + extended + image_chunk + "EXIF" + number(exif.size(), 4) + exif;
    const Image image = read_image(file("a.webp", "RIFF" + number(body.size(), 4) + body));
    cv::Mat expected;
    cv::cvtColor(scene, expected, cv::COLOR_BGR2RGB);
    if (orientation == 3) cv::rotate(expected, expected, cv::ROTATE_180);
    if (orientation == 6) cv::rotate(expected, expected, cv::ROTATE_90_CLOCKWISE);
    if (orientation == 8) cv::rotate(expected, expected, cv::ROTATE_90_COUNTERCLOCKWISE);
    ASSERT_EQ(image.rgb.size(), expected.size()) << static_cast<int>(orientation);
    EXPECT_EQ(difference(image.rgb, expected), 0) << static_cast<int>(orientation);
  }
}

/// An uncompressed TIFF of one strip a plane, little-endian.
struct Tiff {
  int width = 2, height = 1, bits = 8, channels = 3, photometric = 2, planar = 1;
  std::optional<int> extra = {};  ///< kind of the channel after the colours
  int format = 1, orientation = 1;
  std::string samples;

  std::string bytes() const {
    const auto number = [](std::size_t value, int count) {
      std::string text;
      for (int i = 0; i < count; ++i) text += static_cast<char>(value >> 8 * i & 0xFF);
      return text;
    };
    const std::size_t planes = planar == 2 ? static_cast<std::size_t>(channels) : 1;
    std::vector<std::tuple<int, int, std::vector<std::size_t>>> tags;  // number, type, values
    const auto add = [&](int tag, int type, std::vector<std::size_t> values) {
      tags.emplace_back(tag, type, std::move(values));
    };
    const auto all = static_cast<std::size_t>(channels);
    add(256, 3, {static_cast<std::size_t>(width)});
    add(257, 3, {static_cast<std::size_t>(height)});
    add(258, 3, std::vector<std::size_t>(all, static_cast<std::size_t>(bits)));
    add(259, 3, {1});
    add(262, 3, {static_cast<std::size_t>(photometric)});
    add(273, 4, {});
    add(274, 3, {static_cast<std::size_t>(orientation)});
    add(277, 3, {all});
    add(278, 3, {static_cast<std::size_t>(height)});
    add(279, 4, std::vector<std::size_t>(planes, samples.size() / planes));
    add(284, 3, {static_cast<std::size_t>(planar)});
    if (extra) add(338, 3, {static_cast<std::size_t>(*extra)});
    add(339, 3, std::vector<std::size_t>(all, static_cast<std::size_t>(format)));
    const std::size_t directory = 2 + tags.size() * 12 + 4;
    const std::size_t data = 8 + directory;
    std::string entries, beyond;
    for (auto& [tag, type, values] : tags) {
      if (tag == 273) {
        for (std::size_t i = 0; i < planes; ++i) {
          values.push_back(data + 256 + i * samples.size() / planes);
        }
      }
      const int size = type == 3 ? 2 : 4;
      std::string packed;
      for (const auto value : values) packed += number(value, size);
      entries += number(static_cast<std::size_t>(tag), 2) +
                 number(static_cast<std::size_t>(type), 2) + number(values.size(), 4);
      if (packed.size() <= 4) {
        packed.resize(4);
        entries += packed;
      } else {
        entries += number(data + beyond.size(), 4);
        beyond += packed;
      }
    }
    beyond.resize(256);
    return "II*" + std::string(1, '\0') + number(8, 4) + number(tags.size(), 2) + entries +
           number(0, 4) + beyond + samples;
  }
};

TEST_F(ImageTest, TiffsThatOpenCvDecodesIntoAnotherPicture) {
  if (!decode_tiff(Tiff{.samples = "abcdef"}.bytes(), 1000))
    GTEST_SKIP() << "built without libtiff";
  const auto pixels = [&](const Tiff& tiff) {
    const cv::Mat rgb = read_image(file("a.tif", tiff.bytes())).rgb;
    std::vector<int> values;
    for (int x = 0; x < rgb.cols; ++x) {
      for (int c = 0; c < 3; ++c) values.push_back(rgb.at<cv::Vec3b>(0, x)[c]);
    }
    return values;
  };
  const auto bytes = [](const std::vector<int>& values, int each = 1) {
    std::string text;
    for (const int value : values) {
      for (int i = 0; i < each; ++i) text += static_cast<char>(value);  // 16 bit: 257 times as much
    }
    return text;
  };
  const std::vector<int> expected = {10, 20, 30, 200, 210, 220};
  for (const int bits : {8, 16}) {
    const int each = bits / 8;
    EXPECT_EQ(pixels({.bits = bits, .samples = bytes(expected, each)}), expected);
    EXPECT_EQ(
        pixels({.bits = bits, .planar = 2, .samples = bytes({10, 200, 20, 210, 30, 220}, each)}),
        expected);
    // Alpha as it is, of both kinds; what was multiplied by it is divided.
    EXPECT_EQ(pixels({.bits = bits,
                      .channels = 4,
                      .extra = 2,
                      .samples = bytes({10, 20, 30, 0, 200, 210, 220, 128}, each)}),
              expected);
    EXPECT_EQ(pixels({.bits = bits,
                      .channels = 4,
                      .extra = 1,
                      .samples = bytes({50, 25, 0, 51, 200, 210, 220, 255}, each)}),
              (std::vector<int>{250, 125, 0, 200, 210, 220}));
    // White is 0.
    EXPECT_EQ(
        pixels({.bits = bits, .channels = 1, .photometric = 0, .samples = bytes({0, 205}, each)}),
        (std::vector<int>{255, 255, 255, 50, 50, 50}));
    EXPECT_EQ(
        pixels({.bits = bits, .channels = 1, .photometric = 1, .samples = bytes({0, 205}, each)}),
        (std::vector<int>{0, 0, 0, 205, 205, 205}));
  }
  EXPECT_EQ(pixels({.orientation = 2, .samples = bytes(expected)}),
            (std::vector<int>{200, 210, 220, 10, 20, 30}));
  const Image five = read_image(file(
      "five.tif",
      Tiff{.channels = 5, .extra = 0, .samples = bytes({1, 2, 3, 4, 5, 6, 7, 8, 9, 9})}.bytes()));
  EXPECT_EQ(five.rgb.at<cv::Vec3b>(0, 1), cv::Vec3b(6, 7, 8));
  ASSERT_EQ(five.remarks.size(), 1U);
  EXPECT_EQ(five.remarks[0].kind, "channels");
  for (const auto& [bits, format, name] : std::vector<std::tuple<int, int, const char*>>{
           {32, 3, "floating-point samples of 32 bit"}, {16, 2, "signed samples of 16 bit"}}) {
    const std::string samples(static_cast<std::size_t>(2 * bits / 8), 'x');
    const Tiff tiff{
        .bits = bits, .channels = 1, .photometric = 1, .format = format, .samples = samples};
    EXPECT_NE(message_of<DataError>([&] { pixels(tiff); }).find(name), std::string::npos);
  }
  // Claims that no file keeps.
  EXPECT_NE(message_of<DataError>([&] {
              pixels({.width = 60000, .height = 60000, .samples = "abcdef"});
            }).find("--max-pixels"),
            std::string::npos);
  EXPECT_THROW(pixels({.width = 9000, .height = 9000, .samples = "abcdef"}), DataError);
}

TEST_F(ImageTest, DirectoriesThatLeadInACircleComeToAnEnd) {
  std::string tiff = Tiff{.samples = "abcdef"}.bytes();
  const std::size_t next = 8 + 2 + static_cast<unsigned char>(tiff[8]) * 12;
  tiff.replace(next, 4, std::string("\x08\0\0\0", 4));
  try {
    read_image(file("a.tif", tiff));
  } catch (const DataError&) {  // or not: it is over either way
  }
}

TEST_F(ImageTest, FurtherPagesAreNamed) {
  std::vector<unsigned char> bytes;
  const auto path = (folder / "pages.tif").string();
  cv::imwritemulti(path, std::vector<cv::Mat>{scene_bgr(), scene_bgr(), scene_bgr()});
  const Image image = read_image(path);
  EXPECT_EQ(image.rgb.size(), cv::Size(60, 40));
  ASSERT_EQ(image.remarks.size(), 1U);
  EXPECT_EQ(image.remarks[0].kind, "pages");
  EXPECT_NE(image.remarks[0].text.find("holds 3 pictures"), std::string::npos);
  EXPECT_EQ(summarize({image.remarks[0], image.remarks[0], {"pages", "other"}}),
            std::vector<std::string>{image.remarks[0].text + "; 1 other too"});
}

TEST_F(ImageTest, LargerPicturesThanAcceptedAreNotDecoded) {
  DecodeOptions options;
  options.max_pixels = 40 * 60 - 1;
  for (const std::string extension :
       {".png", ".bmp", ".tiff", ".ppm", ".webp", ".jpg", ".jp2", ".ras"}) {
    const auto path = file("a" + extension, encoded(extension, scene_bgr()));
    const auto message = message_of<DataError>([&] { read_image(path, options); });
    EXPECT_NE(message.find("60x40"), std::string::npos) << message;
    EXPECT_NE(message.find("--max-pixels"), std::string::npos) << message;
    EXPECT_NO_THROW(read_image(path));
  }
  // A PNG that claims 60000 x 60000 pixels: its header is enough.
  std::string huge = encoded(".png", scene_bgr());
  huge.replace(16, 8, std::string("\0\0\xEA\x60\0\0\xEA\x60", 8));
  EXPECT_NE(message_of<DataError>([&] { read_image(file("h.png", huge)); }).find("3600 megapixels"),
            std::string::npos);
}

TEST_F(ImageTest, golden) {
  NAGL_NEEDS_TEST_DATA(data);
  const auto flavours = data / "cases/flavours";
  for (const auto& [reference, names] :
       std::vector<std::pair<std::string, std::vector<std::string>>>{
           {"rgb.png", {"c_alpha0.png", "c_alpha0.tif", "c_alpha128.tif", "c_topdown.bmp"}},
           {"grey.png", {"g_p5_max100.pgm", "g_p5_max1023.pgm", "g_p5_max4095.pgm"}}}) {
    const Image expected = read_image(flavours / "ref" / reference);
    for (const auto& name : names) {
      const Image image = read_image(flavours / name);
      const double steps = name == "g_p5_max100.pgm" ? 2 : 1;
      EXPECT_LE(difference(image.rgb, expected.rgb), reference == "rgb.png" ? 0 : steps) << name;
    }
  }
  DecodeOptions twelve;
  twelve.bit_depth = 12;
  const Image grey = read_image(flavours / "ref/grey.png");
  EXPECT_LE(difference(read_image(flavours / "g_12bit_in_16.tif", twelve).rgb, grey.rgb), 1);
  EXPECT_EQ(read_image(flavours / "g_12bit_in_16.tif").remarks.at(0).kind, "low values");
  EXPECT_NE(message_of<DataError>([&] {
              read_image(flavours / "g_16_float16.tif");
            }).find("floating-point samples of 16 bit"),
            std::string::npos);
}

TEST_F(ImageTest, RefusesWhatIsNoPicture) {
  const auto refused = [](const std::filesystem::path& path) {
    const auto message = message_of<DataError>([&] { read_image(path); });
    EXPECT_NE(message.find(path.filename().string()), std::string::npos) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    return message;
  };
  EXPECT_NE(refused(file("empty.png", "")).find("empty"), std::string::npos);
  refused(file("text.png", "This is not a picture.\n"));
  refused(file("binary.jpg", std::string("\xFF\xD8\xFF\xE0garbage", 11)));
  refused(folder / "absent.png");
  std::filesystem::create_directory(folder / "folder.png");
  refused(folder / "folder.png");
  std::filesystem::create_symlink("nowhere", folder / "dangling.png");
  refused(folder / "dangling.png");
}

TEST_F(ImageTest, RefusesTruncatedPictures) {
  cv::Mat noise(64, 64, CV_8UC3);
  cv::randu(noise, 0, 256);
  for (const std::string extension : {".png", ".jpg", ".bmp", ".tiff", ".webp"}) {
    const std::string whole = encoded(extension, noise);
    for (const double share : {0.1, 0.5, 0.9, 0.99}) {
      const auto size = static_cast<std::size_t>(share * static_cast<double>(whole.size()));
      const auto path = file("cut" + extension, whole.substr(0, size));
      const auto message = message_of<DataError>([&] { read_image(path); });
      EXPECT_NE(message.find("cut" + extension), std::string::npos) << share;
    }
    EXPECT_NO_THROW(read_image(file("whole" + extension, whole)));
  }
}

TEST_F(ImageTest, JpegIsCompleteWithTrailersAndThumbnails) {
  const auto complete = [](const std::string& bytes) {
    return jpeg_is_complete(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  };
  const std::string jpeg = encoded(".jpg", scene_bgr());
  EXPECT_TRUE(complete(jpeg));
  EXPECT_TRUE(complete(jpeg + "vendor data after the end"));
  for (std::size_t size = 0; size < jpeg.size(); ++size) {
    ASSERT_FALSE(complete(jpeg.substr(0, size))) << size;
  }
  // An end marker inside a segment (a thumbnail's) is not the picture's.
  std::string with_thumbnail = jpeg.substr(0, 2) + std::string("\xFF\xE1\0\x06\xFF\xD8\xFF\xD9", 8);
  EXPECT_FALSE(complete(with_thumbnail + jpeg.substr(2, jpeg.size() - 4)));
  EXPECT_TRUE(complete(with_thumbnail + jpeg.substr(2)));
  std::vector<unsigned char> bytes;
  cv::imencode(".jpg", scene_bgr(), bytes, {cv::IMWRITE_JPEG_PROGRESSIVE, 1});
  EXPECT_TRUE(jpeg_is_complete(bytes.data(), bytes.size()));
  EXPECT_FALSE(jpeg_is_complete(bytes.data(), bytes.size() - 2));
}

TEST_F(ImageTest, WritesPngInRgbOrder) {
  cv::Mat rgb(1, 1, CV_8UC3, cv::Scalar(1, 2, 3));
  write_png(folder / "sub/out.png", rgb);
  EXPECT_EQ(difference(read_image(folder / "sub/out.png").rgb, rgb), 0);
}

}  // namespace
}  // namespace nagl
