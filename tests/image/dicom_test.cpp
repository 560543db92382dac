#include "image/dicom.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <opencv2/core.hpp>
#include <random>
#include <string>
#include <vector>

#include "nagl/core/error.h"
#include "nagl/image/image.h"
#include "nagl/image/mask.h"
#include "nagl/image/volume.h"
#include "support.h"

namespace nagl {
namespace {

using testing::message_of;
using testing::spill;
using testing::TemporaryFolder;

std::string little(std::uint32_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i) & 255);
  return text;
}

/// An element with its kind of value, its length in 16 or, where the standard wants it, 32 bits.
std::string element(std::uint32_t group, std::uint32_t number, const std::string& kind,
                    std::string value) {
  if (value.size() % 2 == 1) value += kind == "UI" || kind == "OB" ? '\0' : ' ';
  const bool wide = kind == "OB" || kind == "OW" || kind == "SQ";
  return little(group, 2) + little(number, 2) + kind + (wide ? std::string(2, '\0') : "") +
         little(static_cast<std::uint32_t>(value.size()), wide ? 4 : 2) + value;
}

std::string count(std::uint32_t number, std::uint32_t value) {
  return element(0x28, number, "US", little(value, 2));
}

constexpr const char* kPlain = "1.2.840.10008.1.2.1";
constexpr const char* kRunLengths = "1.2.840.10008.1.2.5";
constexpr const char* kDeflated = "1.2.840.10008.1.2.1.99";

/// What a file of 2 rows and 3 columns says.
struct Said {
  std::string syntax = kPlain, photometric = "MONOCHROME2", frames;
  std::uint32_t allocated = 16, stored = 12, high_bit = 11, is_signed = 0;
  std::string slope, intercept, center, width, function;
  std::string before;  ///< elements of groups below 0028
  std::string pixels;  ///< as the element has them
  bool encapsulated = false;
};

std::string file_of(const Said& said) {
  const std::string syntax = element(2, 0x10, "UI", said.syntax);
  std::string bytes = std::string(128, '\0') + "DICM" +
                      element(2, 0, "UL", little(static_cast<std::uint32_t>(syntax.size()), 4)) +
                      syntax + said.before;
  bytes += count(2, 1) + element(0x28, 4, "CS", said.photometric);
  if (!said.frames.empty()) bytes += element(0x28, 8, "IS", said.frames);
  bytes += count(0x10, 2) + count(0x11, 3) + count(0x100, said.allocated) +
           count(0x101, said.stored) + count(0x102, said.high_bit) + count(0x103, said.is_signed);
  const auto decimal = [&](std::uint32_t number, const std::string& text) {
    if (!text.empty()) bytes += element(0x28, number, "DS", text);
  };
  decimal(0x1050, said.center);
  decimal(0x1051, said.width);
  decimal(0x1052, said.intercept);
  decimal(0x1053, said.slope);
  if (!said.function.empty()) bytes += element(0x28, 0x1056, "CS", said.function);
  if (!said.encapsulated) return bytes + element(0x7FE0, 0x10, "OW", said.pixels);
  return bytes + little(0x7FE0, 2) + little(0x10, 2) + "OB" + std::string(2, '\0') +
         little(0xFFFFFFFF, 4) + said.pixels;
}

std::string words(const std::vector<std::uint32_t>& values) {
  std::string text;
  for (const auto value : values) text += little(value, 2);
  return text;
}

std::string item(const std::string& value) {
  return little(0xE000FFFE, 4) + little(static_cast<std::uint32_t>(value.size()), 4) + value;
}

/// A frame of 8-bit run lengths, with the empty table before it and the mark after it.
std::string run_lengths(const std::string& runs) {
  std::string header = little(1, 4) + little(64, 4);
  header.resize(64);
  return item("") + item(header + runs) + little(0xE0DDFFFE, 4) + little(0, 4);
}

std::vector<int> greys(const cv::Mat& samples) {
  return {samples.begin<std::uint8_t>(), samples.end<std::uint8_t>()};
}

class DicomTest : public ::testing::Test {
 protected:
  void SetUp() override {
    try {
      dicom_frames("", "");
    } catch (const DicomFault& fault) {
      if (std::string(fault.what()).find("without DCMTK") != std::string::npos) {
        GTEST_SKIP() << "built without DCMTK";
      }
    }
  }
  DicomPicture decoded(const Said& said, int frame = 0) { return decoded(file_of(said), frame); }
  DicomPicture decoded(const std::string& bytes, int frame = 0) {
    spill(folder / "a.dcm", bytes);
    DicomPicture picture = decode_dicom(folder / "a.dcm", bytes, frame, 1000);
    const DicomPicture from_memory = decode_dicom({}, bytes, frame, 1000);
    EXPECT_EQ(from_memory.frames, picture.frames);
    EXPECT_EQ(from_memory.samples.size(), picture.samples.size());
    EXPECT_EQ(cv::norm(from_memory.samples, picture.samples, cv::NORM_INF), 0);
    return picture;
  }
  TemporaryFolder folder;
};

TEST_F(DicomTest, ValuesAreScaledAndSeenThroughTheWindow) {
  Said said;
  // 12 of 16 bits with a sign: 2047, -2048, -1, 0, 1, 1000; the bits above mean nothing.
  said.pixels = words({0x7FF, 0x800, 0xFFFF, 0xF000, 1, 1000});
  said.is_signed = 1;
  said.slope = "2";
  said.intercept = "-10";
  said.center = "40\\7";
  said.width = "401\\9";
  const DicomPicture picture = decoded(said);
  EXPECT_EQ(std::vector<double>(picture.values.begin<double>(), picture.values.end<double>()),
            (std::vector<double>{4084, -4106, -12, -10, -8, 1990}));
  // Of the first window: from 39.5 - 200 to 39.5 + 200.
  EXPECT_EQ(greys(picture.samples),
            (std::vector<int>{255, 0, static_cast<int>(std::lrint((-12 + 160.5) / 400 * 255)),
                              static_cast<int>(std::lrint(150.5 / 400 * 255)),
                              static_cast<int>(std::lrint(152.5 / 400 * 255)), 255}));
  said.photometric = "MONOCHROME1";
  EXPECT_EQ(greys(decoded(said).samples)[0], 0);
  EXPECT_EQ(greys(decoded(said).samples)[1], 255);
  said.photometric = "MONOCHROME2";
  said.function = "LINEAR_EXACT";
  EXPECT_EQ(greys(decoded(said).samples)[3], std::lrint((-10 + 160.5) / 401 * 255));
  said.function = "SIGMOID";
  EXPECT_EQ(greys(decoded(said).samples)[3], std::lrint(255 / (1 + std::exp(4 * 50.0 / 401))));
}

TEST_F(DicomTest, WithoutAWindowEightBitsAreGreyAndOthersAreStretched) {
  Said said;
  said.allocated = said.stored = 8;
  said.high_bit = 7;
  said.pixels = std::string("\x00\x07\x50\x60\x70\xFF", 6);
  EXPECT_EQ(greys(decoded(said).samples), (std::vector<int>{0, 7, 0x50, 0x60, 0x70, 255}));
  said = Said();
  said.pixels = words({100, 200, 300, 150, 250, 125});
  EXPECT_EQ(greys(decoded(said).samples), (std::vector<int>{0, 128, 255, 64, 191, 32}));
}

TEST_F(DicomTest, FramesAreNamedByTheirNumber) {
  Said said;
  said.allocated = said.stored = 8;
  said.high_bit = 7;
  said.frames = "2";
  said.pixels = std::string("\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0A\x0B\x00", 12);
  spill(folder / "a.dcm", file_of(said));
  EXPECT_EQ(read_image(folder / "a.dcm#1").rgb.at<cv::Vec3b>(0, 2), cv::Vec3b(9, 9, 9));
  const Image first = read_image(folder / "a.dcm");
  EXPECT_EQ(first.rgb.at<cv::Vec3b>(0, 2), cv::Vec3b(3, 3, 3));
  ASSERT_EQ(first.remarks.size(), 1);
  EXPECT_NE(first.remarks[0].text.find("2 pictures, of which the first"), std::string::npos);
  EXPECT_EQ(pictures_in(folder / "a.dcm#all").size(), 2);
  EXPECT_EQ(cv::countNonZero(read_mask(folder / "a.dcm#1").marks), 5);
  const auto message = message_of<DataError>([&] { read_image(folder / "a.dcm#2"); });
  EXPECT_NE(message.find("pages 0 to 1"), std::string::npos) << message;
  EXPECT_THROW(read_image(folder / "a.dcm#x"), DataError);
  said.frames = "2000000000";  // of which there are two
  spill(folder / "a.dcm", file_of(said));
  EXPECT_EQ(pictures_in(folder / "a.dcm#all").size(), 2);
}

TEST_F(DicomTest, RunLengthsAreReadAndHeldToTheirFragment) {
  Said said;
  said.syntax = kRunLengths;
  said.allocated = said.stored = 8;
  said.high_bit = 7;
  said.encapsulated = true;
  said.pixels = run_lengths(std::string("\xFE\x09\x02\x01\x02\x03", 6));  // three 9, then 1, 2, 3
  EXPECT_EQ(greys(decoded(said).samples), (std::vector<int>{9, 9, 9, 1, 2, 3}));
  said.pixels = run_lengths(std::string("\xFE\x09\x7F\x01\x02\x03", 6));
  const auto message = message_of<DicomFault>([&] { decoded(said); });
  EXPECT_NE(message.find("lead out"), std::string::npos) << message;
}

TEST_F(DicomTest, WhatIsNotReadIsSaid) {
  Said said;
  said.pixels = words({1, 2, 3, 4, 5, 6});
  const auto refused = [&](const std::string& bytes, const std::string& why) {
    const auto message = message_of<DicomFault>([&] { decoded(bytes); });
    EXPECT_NE(message.find(why), std::string::npos) << why << ": " << message;
  };
  const std::string whole = file_of(said);
  refused(whole.substr(0, whole.size() - 2), "damaged");
  refused(whole.substr(0, whole.size() - 24), "no pixel data");
  const auto changed = [&](auto&& change) {
    Said other = said;
    change(other);
    return file_of(other);
  };
  refused(changed([](Said& it) { it.syntax = kDeflated; }), "deflated");
  refused(changed([](Said& it) { it.syntax = "1.2.3"; }), "not known ('1.2.3')");
  refused(changed([](Said& it) { it.allocated = 32; }), "32 bits");
  refused(changed([](Said& it) { it.high_bit = 16; }), "which bits count");
  refused(changed([](Said& it) { it.slope = "0"; }), "scales all its values to one");
  refused(changed([](Said& it) { it.photometric = "NONSENSE"; }), "damaged");
  refused(changed([](Said& it) { it.pixels.resize(8); }), "damaged");
  std::string deep;
  for (int i = 0; i < 20000; ++i) {  // with marks of ends in values, which are none
    deep += element(8, 0x60, "CS", std::string("\xFE\xFF\x0D\xE0\x00\x00\x00\x00", 8));
    deep += little(8, 2) + little(0x1140, 2) + "SQ" + std::string(2, '\0') + little(0xFFFFFFFF, 4) +
            little(0xE000FFFE, 4) + little(0xFFFFFFFF, 4);
  }
  refused(changed([&](Said& it) { it.before = deep; }), "damaged");
  spill(folder / "a.dcm", whole);
  const auto message = message_of<DicomFault>([&] { decode_dicom(folder / "a.dcm", whole, 0, 5); });
  EXPECT_NE(message.find("3x2, more than"), std::string::npos) << message;
}

TEST_F(DicomTest, MutatedFilesNeverCrash) {
  // $NAGL_MUTATIONS says how many.
  const char* asked = std::getenv("NAGL_MUTATIONS");
  const int count = asked == nullptr ? 2000 : std::atoi(asked);
  Said plain;
  plain.pixels = words({1, 2, 3, 4, 5, 6});
  Said packed;
  packed.syntax = kRunLengths;
  packed.allocated = packed.stored = 8;
  packed.high_bit = 7;
  packed.encapsulated = true;
  packed.pixels = run_lengths(std::string("\xFE\x09\x02\x01\x02\x03", 6));
  Said colored = packed;
  colored.photometric = "RGB";
  const std::vector<std::string> files = {file_of(plain), file_of(packed), file_of(colored)};
  std::mt19937 random(11);
  int read = 0;
  for (int i = 0; i < count; ++i) {
    std::string bytes = files[random() % files.size()];
    const int changes = 1 + static_cast<int>(random() % 4);
    for (int k = 0; k < changes; ++k) {
      bytes[128 + random() % (bytes.size() - 128)] =
          static_cast<char>(random() % 4 == 0 ? 255 : random());
    }
    if (random() % 16 == 0) bytes.resize(random() % bytes.size());
    try {
      const DicomPicture picture = decoded(bytes);
      EXPECT_LE(picture.samples.total(), 1000U);
      ++read;
    } catch (const DicomFault&) {
    }
  }
  EXPECT_GT(read, count / 20);
}

}  // namespace
}  // namespace nagl
