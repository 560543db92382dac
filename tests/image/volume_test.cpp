#include "nagl/image/volume.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <opencv2/core.hpp>
#include <random>

#include "image/nifti.h"
#include "nagl/core/error.h"
#include "nagl/image/image.h"
#include "nagl/image/mask.h"
#include "support.h"
#include "volumes.h"

namespace nagl {
namespace {

namespace fs = std::filesystem;
using testing::Affine;
using testing::kRas;
using testing::message_of;
using testing::nifti;
using testing::put;
using testing::slurp;
using testing::spill;
using testing::TemporaryFolder;

bool built_with_libnifti() {
  try {
    compressed("x");
    return true;
  } catch (const NiftiFault&) {
    return false;
  }
}

/// Left, back, up.
constexpr Affine kLps = {{{-1, 0, 0, 0}, {0, -1, 0, 0}, {0, 0, 1, 0}}};
/// Up, to the right, to the back: the file's first axis is the volume's last.
constexpr Affine kSra = {{{0, 1, 0, 0}, {0, 0, -1, 0}, {1, 0, 0, 0}}};

std::vector<float> values(const cv::Mat& picture) {
  return {picture.begin<float>(), picture.end<float>()};
}

class VolumeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!built_with_libnifti()) GTEST_SKIP() << "built without libnifti";
  }
  TemporaryFolder folder;
};

TEST_F(VolumeTest, LiesAsItsFileSays) {
  spill(folder / "ras.nii", nifti({2, 3, 4}, kRas));
  const auto ras = read_volume(folder / "ras.nii");
  EXPECT_EQ(ras->size(), (std::array<std::int64_t, 3>{2, 3, 4}));
  EXPECT_EQ(ras->at(1, 0, 0), 2);
  EXPECT_EQ(ras->at(0, 1, 0), 3);
  EXPECT_EQ(ras->at(0, 0, 1), 7);
  // Axial, front up: rows from the front (y 2) to the back.
  EXPECT_EQ(values(ras->slice(SliceAxis::kAxial, 1)), (std::vector<float>{11, 12, 9, 10, 7, 8}));
  // Coronal, top up; sagittal too, the back on the left.
  EXPECT_EQ(values(ras->slice(SliceAxis::kCoronal, 0)),
            (std::vector<float>{19, 20, 13, 14, 7, 8, 1, 2}));
  EXPECT_EQ(values(ras->slice(SliceAxis::kSagittal, 1)),
            (std::vector<float>{20, 22, 24, 14, 16, 18, 8, 10, 12, 2, 4, 6}));

  spill(folder / "lps.nii", nifti({2, 3, 4}, kLps));
  const auto lps = read_volume(folder / "lps.nii");
  EXPECT_EQ(lps->at(0, 0, 0), 6);  // the file's last one of its first plane
  EXPECT_EQ(lps->at(1, 2, 0), 1);
  EXPECT_EQ(lps->at(1, 2, 3), 19);

  spill(folder / "sra.nii", nifti({2, 3, 4}, kSra));
  const auto sra = read_volume(folder / "sra.nii");
  EXPECT_EQ(sra->size(), (std::array<std::int64_t, 3>{3, 4, 2}));
  EXPECT_EQ(sra->at(0, 3, 0), 1);  // right is the file's second axis, front its third, backwards
  EXPECT_EQ(sra->at(0, 3, 1), 2);
  EXPECT_EQ(sra->at(2, 3, 0), 5);
  EXPECT_EQ(sra->at(0, 0, 0), 19);

  spill(folder / "swapped.nii", nifti({2, 3, 4}, kSra, /*swap=*/true));
  EXPECT_EQ(read_volume(folder / "swapped.nii")->voxels(), sra->voxels());
  spill(folder / "small.nii.gz", compressed(nifti({2, 3, 4}, kSra)));
  EXPECT_EQ(read_volume(folder / "small.nii.gz")->voxels(), sra->voxels());
}

TEST_F(VolumeTest, SlopesCountAndWhatIsNoNumberIsNothing) {
  std::string bytes = nifti({2, 3, 4}, kRas);
  put<float>(bytes, 112, 2);
  put<float>(bytes, 116, -1);
  spill(folder / "scaled.nii", bytes);
  EXPECT_EQ(read_volume(folder / "scaled.nii")->at(1, 0, 0), 3);
  bytes = nifti({2, 3, 4}, kRas);
  bytes.resize(352 + 24 * 4);
  put<std::int16_t>(bytes, 70, 16);
  put<std::int16_t>(bytes, 72, 32);
  for (std::size_t i = 0; i < 24; ++i) put<float>(bytes, 352 + 4 * i, i == 0 ? NAN : 0.5F);
  spill(folder / "float.nii", bytes);
  EXPECT_EQ(read_volume(folder / "float.nii")->at(0, 0, 0), 0);
  EXPECT_EQ(read_volume(folder / "float.nii")->at(1, 0, 0), 0.5F);
}

TEST_F(VolumeTest, GreyIsScaledByPercentilesOfTheWhole) {
  // 1000 voxels: 500 of 0, then 1, 2, ..., 500: percentiles 0.5 and 99.5 are 3 and 497.
  std::vector<float> voxels(1000, 0);
  for (std::size_t i = 0; i < 500; ++i) voxels[500 + i] = static_cast<float>(i + 1);
  const Volume volume({10, 10, 10}, voxels);
  EXPECT_EQ(cv::countNonZero(volume.grey_slice(SliceAxis::kAxial, 2)), 0);
  EXPECT_EQ(volume.filled(SliceAxis::kAxial, 2), 0);
  EXPECT_EQ(volume.filled(SliceAxis::kCoronal, 0), 50);
  const cv::Mat grey = volume.grey_slice(SliceAxis::kAxial, 7);  // 201 to 300
  EXPECT_EQ(grey.at<std::uint8_t>(9, 0), std::lround((201 - 3) * 255.0 / (497 - 3)));
  EXPECT_EQ(grey.at<std::uint8_t>(0, 9), std::lround((300 - 3) * 255.0 / (497 - 3)));
}

TEST_F(VolumeTest, ZeroIsNoGroundWhereValuesGoBelow) {
  // Air of -1000, 0 in the middle, 1000 on top, as in a CT.
  std::vector<float> voxels(1000, -1000);
  std::fill(voxels.begin() + 400, voxels.begin() + 700, 0.0F);
  std::fill(voxels.begin() + 700, voxels.end(), 1000.0F);
  const Volume volume({10, 10, 10}, voxels);
  EXPECT_EQ(volume.grey_slice(SliceAxis::kAxial, 0).at<std::uint8_t>(0, 0), 0);
  EXPECT_NEAR(volume.grey_slice(SliceAxis::kAxial, 5).at<std::uint8_t>(0, 0), 127.5, 1);
  EXPECT_EQ(volume.grey_slice(SliceAxis::kAxial, 9).at<std::uint8_t>(0, 0), 255);
}

TEST_F(VolumeTest, SlicesAreReadAsPicturesAndMasks) {
  std::string bytes = nifti({2, 3, 4}, kRas);
  put<std::int16_t>(bytes, 352 + 2 * 6, 0);  // (0, 0, 1)
  spill(folder / "a.nii", bytes);
  const Image image = read_image(folder / "a.nii#axial:1");
  EXPECT_EQ(image.rgb.size(), cv::Size(2, 3));
  EXPECT_EQ(image.rgb.at<cv::Vec3b>(2, 0), cv::Vec3b(0, 0, 0));
  EXPECT_GT(image.rgb.at<cv::Vec3b>(2, 1)[0], 0);
  const cv::Mat marks = read_mask(folder / "a.nii#axial:1").marks;
  EXPECT_EQ(cv::countNonZero(marks), 5);
  EXPECT_EQ(marks.at<std::uint8_t>(2, 0), 0);
  const auto refused = [&](const std::string& name, const std::string& why) {
    const auto message = message_of<DataError>([&] { read_image(folder / name); });
    EXPECT_NE(message.find(why), std::string::npos) << message;
  };
  refused("a.nii", "name a slice");
  refused("a.nii#axial", "name a slice");
  refused("a.nii#axial:4", "slices 0 to 3");
  refused("a.nii#oblique:1", "name a slice");
}

TEST_F(VolumeTest, StandsForItsSlicesThatAreNotEmpty) {
  std::string bytes = nifti({2, 3, 4}, kRas);
  std::fill(bytes.begin() + 352, bytes.begin() + 352 + 12, '\0');  // the lowest axial slice
  spill(folder / "a.nii", bytes);
  const auto names = [&](const std::string& path) {
    std::vector<std::string> all;
    for (const auto& picture : pictures_in(folder / path)) all.push_back(picture.filename());
    return all;
  };
  using Names = std::vector<std::string>;
  EXPECT_EQ(names("a.nii"), (Names{"a.nii#axial:1", "a.nii#axial:2", "a.nii#axial:3"}));
  EXPECT_EQ(names("a.nii#sagittal"), (Names{"a.nii#sagittal:0", "a.nii#sagittal:1"}));
  EXPECT_EQ(names("a.nii#axial:0-1"), (Names{"a.nii#axial:0", "a.nii#axial:1"}));
  EXPECT_EQ(names("a.nii#coronal:2"), Names{"a.nii#coronal:2"});
  for (const char* wrong : {"a.nii#axial:3-1", "a.nii#axial:4", "a.nii#7", "a.nii#axial:x"}) {
    EXPECT_THROW(pictures_in(folder / wrong), DataError) << wrong;
  }
  std::fill(bytes.begin() + 352, bytes.end(), '\0');
  spill(folder / "empty.nii", bytes);
  EXPECT_NE(message_of<DataError>([&] { pictures_in(folder / "empty.nii"); }).find("is empty"),
            std::string::npos);
}

TEST_F(VolumeTest, IsWrittenAsAnotherLies) {
  spill(folder / "sra.nii.gz", compressed(nifti({2, 3, 4}, kSra, /*swap=*/true)));
  const auto original = read_volume(folder / "sra.nii.gz");
  Volume scores(original->size(), std::vector<float>(24, 0));
  for (std::int64_t i = 0; i < 2; ++i) {
    scores.set_slice(SliceAxis::kAxial, i, original->slice(SliceAxis::kAxial, i) * 0.25);
  }
  write_volume_like(folder / "sra.nii.gz", folder / "scores.nii.gz", scores);
  const auto written = read_volume(folder / "scores.nii.gz");
  for (std::size_t i = 0; i < 24; ++i) {
    EXPECT_EQ(written->voxels()[i], 0.25F * original->voxels()[i]);
  }
  EXPECT_THROW(scores.set_slice(SliceAxis::kAxial, 2, cv::Mat::zeros(4, 3, CV_32F)),
               std::invalid_argument);
}

TEST_F(VolumeTest, DamageIsSaid) {
  const std::string whole = nifti({2, 3, 4}, kRas);
  const auto refused = [&](std::string bytes, const std::string& why) {
    spill(folder / "bad.nii", bytes);
    const auto message = message_of<DataError>([&] { read_volume(folder / "bad.nii"); });
    EXPECT_NE(message.find(why), std::string::npos) << message;
    EXPECT_NE(message.find("bad.nii"), std::string::npos);
  };
  refused("", "no NIfTI-1 file");
  refused(whole.substr(0, 300), "no NIfTI-1 file");
  refused(whole.substr(0, 380), "truncated");
  const auto changed = [&](std::size_t at, auto value) {
    std::string bytes = whole;
    put(bytes, at, value);
    return bytes;
  };
  refused(changed(42, std::int16_t{30000}), "truncated");  // no memory is taken for it
  refused(changed(42, std::int16_t{-2}), "damaged");
  refused(changed(40, std::int16_t{9}), "no NIfTI-1 file");
  refused(changed(70, std::int16_t{128}), "a type that is not read (128)");
  refused(changed(108, 1e30F), "damaged");
  refused(changed(108, NAN), "damaged");
  refused(changed(280, NAN), "how it lies");
  std::string four = changed(48, std::int16_t{2});
  put<std::int16_t>(four, 40, 4);
  refused(four, "holds 2 volumes");
  std::string packed = compressed(whole);
  spill(folder / "cut.nii.gz", packed.substr(0, packed.size() / 2));
  EXPECT_THROW(read_volume(folder / "cut.nii.gz"), DataError);
  EXPECT_THROW(read_volume(folder / "absent.nii"), DataError);
}

TEST_F(VolumeTest, MutatedFilesNeverCrash) {
  // $NAGL_MUTATIONS says how many.
  const char* asked = std::getenv("NAGL_MUTATIONS");
  const int count = asked == nullptr ? 2000 : std::atoi(asked);
  std::mt19937 random(7);
  const std::string whole = nifti({2, 3, 4}, kSra);
  int read = 0;
  for (int i = 0; i < count; ++i) {
    std::string bytes = whole;
    const int changes = 1 + static_cast<int>(random() % 4);
    for (int k = 0; k < changes; ++k) {
      const std::size_t at = random() % 4 == 0 ? random() % bytes.size() : random() % 352;
      bytes[at] = static_cast<char>(random());
    }
    if (random() % 16 == 0) bytes.resize(random() % bytes.size());
    const bool packed = i % 2 == 1;
    std::string stored = packed ? compressed(bytes) : bytes;
    if (packed && random() % 2 == 0) stored[random() % stored.size()] = static_cast<char>(random());
    const fs::path file = folder / (packed ? "m.nii.gz" : "m.nii");
    spill(file, stored);
    try {
      const Volume volume = decode_nifti(file);
      EXPECT_LE(volume.voxels().size() * 1, bytes.size());  // no more than it holds
      ++read;
    } catch (const NiftiFault&) {
    }
  }
  EXPECT_GT(read, count / 20);
  EXPECT_LT(read, count);
}

}  // namespace
}  // namespace nagl
