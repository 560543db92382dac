#include "nagl/dataset/dataset.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>

#include "image/nifti.h"
#include "nagl/core/error.h"
#include "nagl/dataset/dataset_check.h"
#include "nagl/dataset/synthetic.h"
#include "nagl/image/image.h"
#include "nagl/image/mask.h"
#include "nagl/image/volume.h"
#include "support.h"
#include "volumes.h"

namespace nagl {
namespace {

namespace fs = std::filesystem;
using testing::message_of;
using testing::slurp;
using testing::spill;
using testing::TemporaryFolder;

/// Builds data sets in the layouts of their authors from synthetic pictures of one category.
class DatasetTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    made_ = new TemporaryFolder;
    SyntheticOptions options;
    options.size = 64;
    options.train_good = 2;
    options.test_good = 2;
    options.test_defect = 2;
    write_synthetic_dataset(made_->path(), options);
  }
  static void TearDownTestSuite() {
    delete made_;
    made_ = nullptr;
  }

  /// A picture of the synthetic board category: `train/good/000.png`, `test/scratch/001.png`, ...
  static fs::path made(const std::string& name) { return *made_ / "products/board" / name; }
  void copy(const std::string& from, const fs::path& to) const {
    fs::create_directories((folder / to).parent_path());
    fs::copy_file(made(from), folder / to, fs::copy_options::overwrite_existing);
  }
  void copy_mask(const std::string& index, const fs::path& to) const {
    copy("ground_truth/scratch/" + index + "_mask.png", to);
  }

  void write_empty_mask(const fs::path& to) const {
    const cv::Size size = read_image(made("train/good/000.png")).rgb.size();
    write_png(folder / "empty.png", cv::Mat::zeros(size, CV_8U));
    fs::create_directories((folder / to).parent_path());
    fs::rename(folder / "empty.png", folder / to);
  }

  Dataset read(const std::string& name, DatasetFormat expected) const {
    const Dataset dataset = read_dataset(folder / name);
    EXPECT_EQ(to_string(dataset.format), to_string(expected));
    return dataset;
  }
  /// What is wrong with the data set, one word a finding.
  static std::vector<std::string> kinds(const Dataset& dataset) {
    std::vector<std::string> kinds;
    for (const auto& check : check_dataset(dataset, {})) {
      for (const auto& finding : check.findings) kinds.push_back(finding.kind);
    }
    return kinds;
  }
  /// Two good pictures to refer to, one good and one scratched picture to test on.
  static void expect_usual(const Category& category, const std::string& name,
                           const std::string& defect, std::size_t train = 2) {
    EXPECT_EQ(category.name, name);
    EXPECT_EQ(category.train.size(), train);
    ASSERT_EQ(category.test.size(), 2U);
    const auto bad = std::find_if(category.test.begin(), category.test.end(),
                                  [](const Sample& sample) { return sample.anomalous(); });
    ASSERT_NE(bad, category.test.end());
    EXPECT_EQ(bad->defect, defect);
    ASSERT_EQ(bad->masks.size(), 1U);
    EXPECT_TRUE(fs::exists(bad->masks[0])) << bad->masks[0];
    EXPECT_EQ(category.defects(), std::vector<std::string>{defect});
  }

  TemporaryFolder folder;

 private:
  static TemporaryFolder* made_;
};

TemporaryFolder* DatasetTest::made_ = nullptr;

TEST_F(DatasetTest, Mvtec) {
  const Dataset dataset = read_dataset(made("..").lexically_normal());
  EXPECT_EQ(to_string(dataset.format), "mvtec");
  EXPECT_EQ(dataset.categories.size(), 3U);
  EXPECT_EQ(kinds(dataset), std::vector<std::string>());
}

TEST_F(DatasetTest, BtadHasOkAndKoAndMasksOfAnotherFormat) {
  copy("train/good/000.png", "btad/01/train/ok/0000.png");
  copy("train/good/001.png", "btad/01/train/ok/0001.png");
  copy("test/good/000.png", "btad/01/test/ok/0000.png");
  copy("test/scratch/000.png", "btad/01/test/ko/0000.png");
  copy_mask("000", "btad/01/ground_truth/ko/0000.bmp");
  const Dataset dataset = read("btad", DatasetFormat::kMvtec);
  ASSERT_EQ(dataset.categories.size(), 1U);
  expect_usual(dataset.categories[0], "01", "ko");
}

TEST_F(DatasetTest, FoldersCountInCapitalsToo) {
  copy("train/good/000.png", "capitals/part/Train/GOOD/0.png");
  copy("train/good/001.png", "capitals/part/Train/GOOD/1.png");
  copy("test/good/000.png", "capitals/part/Test/Good/0.png");
  copy("test/scratch/000.png", "capitals/part/Test/Scratch/0.png");
  copy_mask("000", "capitals/part/Ground_Truth/Scratch/0.png");
  expect_usual(read("capitals", DatasetFormat::kMvtec).categories.at(0), "part", "Scratch");
  MvtecLocator locator;
  const auto found = locator.find(folder / "capitals/part/Test/Scratch/0.png");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->masks.size(), 1U);
}

TEST_F(DatasetTest, MvtecAd2HasPublicAndPrivatePictures) {
  copy("train/good/000.png", "ad2/can/train/good/000_regular.png");
  copy("train/good/001.png", "ad2/can/train/good/001_regular.png");
  copy("test/good/001.png", "ad2/can/validation/good/000_regular.png");
  copy("test/good/000.png", "ad2/can/test_public/good/000_regular.png");
  copy("test/scratch/000.png", "ad2/can/test_public/bad/001_overexposed.png");
  copy_mask("000", "ad2/can/test_public/ground_truth/bad/001_overexposed_mask.png");
  copy("test/scratch/001.png", "ad2/can/test_private/000.png");
  copy("test/scratch/001.png", "ad2/can/test_private_mixed/000_mixed.png");
  for (const char* name : {"ad2", "ad2/can"}) {
    const Category category = read(name, DatasetFormat::kMvtecAd2).categories.at(0);
    expect_usual(category, "can", "bad");
    EXPECT_EQ(category.validation.size(), 1U);
    ASSERT_EQ(category.unlabelled.size(), 2U);
    EXPECT_EQ(category.unlabelled.at("test_private").size(), 1U);
    EXPECT_EQ(category.unlabelled.at("test_private_mixed").at(0).filename(), "000_mixed.png");
  }
  const auto check = check_dataset(read_dataset(folder / "ad2"), {}).at(0);
  EXPECT_EQ(check.validation, 1);
  EXPECT_EQ(check.unlabelled.at("test_private"), 1);
  // A mask that is gone is found.
  fs::remove(folder / "ad2/can/test_public/ground_truth/bad/001_overexposed_mask.png");
  EXPECT_EQ(kinds(read_dataset(folder / "ad2")),
            (std::vector<std::string>{"missing mask", "duplicate"}));
}

TEST_F(DatasetTest, Mvtec3dHasPicturesBesideTheirDepth) {
  for (const char* kind : {"rgb", "xyz"}) {  // of the points only that they are there
    const std::string end = std::string("/") + kind + "/000." + (kind[0] == 'r' ? "png" : "tiff");
    copy("train/good/000.png", "3d/bagel/train/good" + end);
    copy("test/good/000.png", "3d/bagel/test/good" + end);
    copy("test/good/001.png", "3d/bagel/validation/good" + end);
    copy("test/scratch/000.png", "3d/bagel/test/crack" + end);
  }
  copy_mask("000", "3d/bagel/test/crack/gt/000.png");
  copy_mask("000", "3d/bagel/test/good/gt/000.png");  // empty in the data set, and not looked at
  const Category category = read("3d", DatasetFormat::kMvtec3d).categories.at(0);
  expect_usual(category, "bagel", "crack", 1);
  EXPECT_EQ(category.validation.size(), 1U);
  fs::remove_all(folder / "3d/bagel/test/crack/gt");
  EXPECT_EQ(kinds(read_dataset(folder / "3d")), std::vector<std::string>{"missing mask"});
}

TEST_F(DatasetTest, KolektorSdd) {
  copy("test/good/000.png", "ksdd/kos01/Part0.jpg");
  copy("test/scratch/000.png", "ksdd/kos01/Part1.jpg");
  write_empty_mask("ksdd/kos01/Part0_label.bmp");
  copy_mask("000", "ksdd/kos01/Part1_label.bmp");
  copy("test/good/001.png", "ksdd/kos02/Part0.jpg");
  write_empty_mask("ksdd/kos02/Part0_label.bmp");
  const Category category = read("ksdd", DatasetFormat::kKsdd).categories.at(0);
  EXPECT_TRUE(category.train.empty());
  ASSERT_EQ(category.test.size(), 3U);
  EXPECT_EQ(category.test[0].path, folder / "ksdd/kos01/Part1.jpg");
  EXPECT_EQ(category.test[0].defect, "defect");
  EXPECT_EQ(category.test[0].masks.at(0).filename(), "Part1_label.bmp");
  EXPECT_FALSE(category.test[1].anomalous());
  EXPECT_FALSE(category.test[2].anomalous());
  fs::remove(folder / "ksdd/kos01/Part0_label.bmp");
  EXPECT_NE(message_of<DataError>([&] { read_dataset(folder / "ksdd"); }).find("Part0.jpg"),
            std::string::npos);
}

TEST_F(DatasetTest, KolektorSdd2) {
  copy("train/good/000.png", "ksdd2/train/10000.png");
  copy("train/good/001.png", "ksdd2/train/10001.png");
  copy("test/scratch/001.png", "ksdd2/train/10002.png");
  copy("test/good/000.png", "ksdd2/test/20000.png");
  copy("test/scratch/000.png", "ksdd2/test/20001.png");
  for (const char* name : {"train/10000", "train/10001", "test/20000"}) {
    write_empty_mask(std::string("ksdd2/") + name + "_GT.png");
  }
  copy_mask("001", "ksdd2/train/10002_GT.png");
  copy_mask("000", "ksdd2/test/20001_GT.png");
  expect_usual(read("ksdd2", DatasetFormat::kKsdd2).categories.at(0), "ksdd2", "defect");
  spill(folder / "ksdd2/test/20001_GT.png", "no picture");
  EXPECT_NE(message_of<DataError>([&] { read_dataset(folder / "ksdd2"); }).find("20001_GT.png"),
            std::string::npos);
}

TEST_F(DatasetTest, DagmHasLabelsOfDefectsAlone) {
  for (const std::string top : {"dagm/Class1", "deeper/Class1/Class1"}) {
    copy("train/good/000.png", top + "/Train/0001.PNG");
    copy("train/good/001.png", top + "/Train/0002.PNG");
    copy("test/scratch/001.png", top + "/Train/0003.PNG");
    copy_mask("001", top + "/Train/Label/0003_label.PNG");
    copy("test/good/000.png", top + "/Test/0001.PNG");
    copy("test/scratch/000.png", top + "/Test/0002.PNG");
    copy_mask("000", top + "/Test/Label/0002_label.PNG");
    spill(folder / (top + "/Test/Label/Labels.txt"), "1 0 0 0\n");
  }
  for (const char* name : {"dagm", "deeper", "dagm/Class1"}) {
    expect_usual(read(name, DatasetFormat::kDagm).categories.at(0), "Class1", "defect");
  }
  spill(folder / "dagm/Class1/Test/Label/0002_label.PNG", "no picture");
  EXPECT_NE(message_of<DataError>([&] { read_dataset(folder / "dagm"); }).find("0002_label.PNG"),
            std::string::npos);
}

TEST_F(DatasetTest, MagneticTile) {
  copy("test/good/000.png", "tile/MT_Free/Imgs/exp1_num_1.jpg");
  write_empty_mask("tile/MT_Free/Imgs/exp1_num_1.png");
  copy("test/scratch/000.png", "tile/MT_Blowhole/Imgs/exp1_num_2.jpg");
  copy_mask("000", "tile/MT_Blowhole/Imgs/exp1_num_2.png");
  expect_usual(read("tile", DatasetFormat::kMagneticTile).categories.at(0), "tile", "blowhole", 0);
  fs::remove(folder / "tile/MT_Blowhole/Imgs/exp1_num_2.png");
  EXPECT_NE(message_of<DataError>([&] { read_dataset(folder / "tile"); }).find("exp1_num_2.png"),
            std::string::npos);
}

TEST_F(DatasetTest, BratsIsReadByPatients) {
  try {
    compressed("x");
  } catch (const NiftiFault&) {
    GTEST_SKIP() << "built without libnifti";
  }
  // Six patients of 6 x 5 x 4 voxels: the lowest slice is empty, the next hardly shows the brain,
  // and of patients with an odd number the highest has a tumour.
  const auto write = [&](const std::string& patient, const std::string& kind, bool tumour) {
    std::vector<float> voxels(6 * 5 * 4, 0);
    const bool truth = kind == "seg";
    for (std::size_t i = 0; i < voxels.size(); ++i) {
      const std::size_t slice = i / 30;
      if (truth) {
        voxels[i] = tumour && slice == 3 && i % 30 < 4 ? 4 : 0;
      } else {
        voxels[i] = slice > 1 || i == 31
                        ? static_cast<float>(
                              100 + i + patient.size() * static_cast<std::size_t>(patient.back()))
                        : 0;
      }
    }
    const fs::path like = folder / "like.nii";
    spill(like, testing::nifti({6, 5, 4}, testing::kRas));
    fs::create_directories(folder / "brats" / patient);
    write_volume_like(like, folder / "brats" / patient / (patient + "_" + kind + ".nii.gz"),
                      Volume({6, 5, 4}, voxels));
  };
  for (int i = 0; i < 6; ++i) {
    const std::string patient = "BraTS2021_0000" + std::to_string(i);
    for (const char* kind : {"flair", "t1", "seg"}) write(patient, kind, i % 2 == 1);
  }
  const Category category = read("brats", DatasetFormat::kBrats).categories.at(0);
  EXPECT_EQ(category.name, "brats");
  ASSERT_EQ(category.train.size(), 3U);  // of patients 0 and 5 the healthy slices
  EXPECT_EQ(category.train[0].path.filename(), "BraTS2021_00000_flair.nii.gz#axial:2");
  EXPECT_EQ(category.train[0].part, "BraTS2021_00000");
  ASSERT_EQ(category.test.size(), 8U);
  EXPECT_EQ(category.defects(), std::vector<std::string>{"tumour"});
  const Sample& ill = category.test.back();
  EXPECT_EQ(ill.path.filename(), "BraTS2021_00003_flair.nii.gz#axial:3");
  EXPECT_EQ(cv::countNonZero(read_masks_for(read_image(ill.path), ill.masks).marks), 4);
  EXPECT_EQ(kinds(read_dataset(folder / "brats")).size(), 0U);
  const auto other = read_dataset(folder / "brats", DatasetFormat::kAuto, "t1");
  EXPECT_TRUE(other.categories[0].test[0].path.filename().string().find("_t1.") !=
              std::string::npos);
  EXPECT_NE(message_of<DataError>([&] {
              read_dataset(folder / "brats", DatasetFormat::kAuto, "t2");
            }).find("--modality"),
            std::string::npos);
  spill(folder / "brats/BraTS2021_00002/BraTS2021_00002_seg.nii.gz", "no volume");
  EXPECT_NE(message_of<DataError>([&] { read_dataset(folder / "brats"); }).find("00002_seg"),
            std::string::npos);
}

TEST_F(DatasetTest, LocoHasSeveralMasksAPicture) {
  copy("train/good/000.png", "loco/box/train/good/000.png");
  copy("test/good/000.png", "loco/box/test/good/000.png");
  copy("test/scratch/000.png", "loco/box/test/logical_anomalies/000.png");
  copy_mask("000", "loco/box/ground_truth/logical_anomalies/000/000.png");
  copy_mask("001", "loco/box/ground_truth/logical_anomalies/000/001.png");
  const Dataset dataset = read("loco", DatasetFormat::kMvtec);
  const Sample& sample = dataset.categories.at(0).test.at(1);
  ASSERT_EQ(sample.masks.size(), 2U);
  // What any of them marks is marked.
  const cv::Mat all = read_masks_for(read_image(sample.path), sample.masks).marks;
  const cv::Mat either = read_mask(sample.masks[0]).marks | read_mask(sample.masks[1]).marks;
  EXPECT_EQ(cv::countNonZero(all != either), 0);
  EXPECT_GT(cv::countNonZero(all), cv::countNonZero(read_mask(sample.masks[0]).marks));
}

TEST_F(DatasetTest, Visa) {
  copy("train/good/000.png", "visa/candle/Data/Images/Normal/0000.JPG");
  copy("train/good/001.png", "visa/candle/Data/Images/Normal/0001.JPG");
  copy("test/good/000.png", "visa/candle/Data/Images/Normal/0002.JPG");
  copy("test/scratch/000.png", "visa/candle/Data/Images/Anomaly/000.JPG");
  copy_mask("000", "visa/candle/Data/Masks/Anomaly/000.png");
  const std::string lines =
      "object,split,label,image,mask\n"
      "candle,train,normal,candle/Data/Images/Normal/0000.JPG,\n"
      "candle,train,normal,candle/Data/Images/Normal/0001.JPG,\n"
      "candle,test,normal,candle/Data/Images/Normal/0002.JPG,\n"
      "candle,test,anomaly,candle/Data/Images/Anomaly/000.JPG,candle/Data/Masks/Anomaly/000.png\n";
  spill(folder / "visa/split_csv/1cls.csv", lines);
  expect_usual(read("visa", DatasetFormat::kVisa).categories.at(0), "candle", "anomaly");
  expect_usual(read("visa/split_csv/1cls.csv", DatasetFormat::kVisa).categories.at(0), "candle",
               "anomaly");
  spill(folder / "visa/split_csv/1cls.csv", lines + "candle,test,normal,candle/none.JPG,\n");
  EXPECT_NE(message_of<DataError>([&] { read_dataset(folder / "visa"); }).find("none.JPG"),
            std::string::npos);
}

TEST_F(DatasetTest, Bmad) {
  copy("train/good/000.png", "brain/train/good/img/0.png");
  copy("train/good/001.png", "brain/train/good/img/1.png");
  copy("test/good/000.png", "brain/test/good/img/0.png");
  copy("test/scratch/000.png", "brain/test/Ungood/img/9.png");
  copy_mask("000", "brain/test/Ungood/label/9.png");
  copy("test/scratch/001.png", "brain/valid/Ungood/img/7.png");  // left alone
  copy_mask("001", "brain/valid/Ungood/label/7.png");
  expect_usual(read("brain", DatasetFormat::kBmad).categories.at(0), "brain", "ungood");
  fs::rename(folder / "brain/test/Ungood/img/9.png", folder / "brain/test/Ungood/9.png");
  fs::remove(folder / "brain/test/Ungood/img");
  expect_usual(read("brain", DatasetFormat::kBmad).categories.at(0), "brain", "ungood");
}

TEST_F(DatasetTest, FoldersOfGoodPicturesAndLesions) {
  copy("test/good/000.png", "scans/healthy/0.png");
  copy("test/scratch/000.png", "scans/lesion/0.png");
  copy_mask("000", "scans/lesion_mask/0.png");
  const Dataset dataset = read("scans", DatasetFormat::kFolders);
  expect_usual(dataset.categories.at(0), "scans", "lesion", /*train=*/0);
  fs::rename(folder / "scans/lesion_mask", folder / "scans/masks");
  expect_usual(read_dataset(folder / "scans").categories.at(0), "scans", "lesion", 0);
  // Masks of one type are not taken for those of another that has none.
  fs::create_directories(folder / "scans/masks/lesion");
  fs::rename(folder / "scans/masks/0.png", folder / "scans/masks/lesion/0.png");
  copy("test/scratch/001.png", "scans/cyst/0.png");
  copy("test/good/001.png", "scans/ok/1.png");  // good too
  const Category category = read_dataset(folder / "scans").categories.at(0);
  ASSERT_EQ(category.test.size(), 4U);
  for (const auto& sample : category.test) {
    EXPECT_EQ(sample.masks.size(), sample.defect == "lesion" ? 1U : 0U) << sample.path;
  }
}

TEST_F(DatasetTest, RealIad) {
  copy("train/good/000.png", "iad/realiad_1024/cap/OK/S1/a.jpg");
  copy("train/good/001.png", "iad/realiad_1024/cap/OK/S1/b.jpg");
  copy("test/good/000.png", "iad/realiad_1024/cap/OK/S2/a.jpg");
  copy("test/scratch/000.png", "iad/realiad_1024/cap/NG/HS/S3/a.jpg");
  copy_mask("000", "iad/realiad_1024/cap/NG/HS/S3/a.png");
  const auto item = [](const char* type, const char* path, nlohmann::json mask) {
    return nlohmann::json{
        {"category", "cap"}, {"anomaly_class", type}, {"image_path", path}, {"mask_path", mask}};
  };
  const nlohmann::json split = {
      {"meta", {{"prefix", "cap/"}, {"normal_class", "OK"}, {"pre_transform", false}}},
      {"train", {item("OK", "OK/S1/a.jpg", nullptr), item("OK", "OK/S1/b.jpg", nullptr)}},
      {"test",
       {item("OK", "OK/S2/a.jpg", nullptr), item("HS", "NG/HS/S3/a.jpg", "NG/HS/S3/a.png")}}};
  spill(folder / "iad/realiad_jsons/realiad_jsons/cap.json", split.dump());
  const Category category = read("iad", DatasetFormat::kRealIad).categories.at(0);
  expect_usual(category, "cap", "HS");
  EXPECT_EQ(category.train[0].part, category.train[1].part);  // two views of one cap
  EXPECT_NE(category.test[0].part, category.test[1].part);
  fs::remove(folder / "iad/realiad_1024/cap/NG/HS/S3/a.jpg");
  EXPECT_NE(message_of<DataError>([&] { read_dataset(folder / "iad"); }).find("HS/S3/a.jpg"),
            std::string::npos);
}

TEST_F(DatasetTest, ManifestsNamePartsOfFiles) {
  const cv::Mat first(8, 8, CV_8UC3, cv::Scalar::all(10)),
      second(8, 8, CV_8UC3, cv::Scalar(0, 0, 90));
  fs::create_directories(folder / "own");
  ASSERT_TRUE(cv::imwritemulti((folder / "own/pages.tif").string(), std::vector{first, second}));
  std::string text =
      "path,label,mask,split\n"
      "pages.tif#0,good,,train\n"
      "pages.tif#1,good,,test\n";
  const bool volumes = [] {
    try {
      compressed("x");
      return true;
    } catch (const NiftiFault&) {
      return false;
    }
  }();
  if (volumes) {
    spill(folder / "own/brain.nii", testing::nifti({8, 8, 4}, testing::kRas));
    spill(folder / "own/seg.nii", testing::nifti({8, 8, 4}, testing::kRas));
    text += "brain.nii#axial:2,defect,seg.nii#axial:2,test\n";
  }
  spill(folder / "own/manifest.csv", text);
  const Category category = read("own", DatasetFormat::kManifest).categories.at(0);
  ASSERT_EQ(category.train.size(), 1U);
  EXPECT_EQ(read_image(category.train[0].path).rgb.at<cv::Vec3b>(0, 0), cv::Vec3b(10, 10, 10));
  ASSERT_EQ(category.test.size(), volumes ? 2U : 1U);
  for (const auto& sample : category.test) {
    const Image image = read_image(sample.path);
    if (!sample.anomalous()) {
      EXPECT_EQ(image.rgb.at<cv::Vec3b>(0, 0), cv::Vec3b(90, 0, 0));
    } else {
      EXPECT_EQ(image.rgb.size(), cv::Size(8, 8));
      EXPECT_EQ(cv::countNonZero(read_masks_for(image, sample.masks).marks), 64);
    }
  }
  for (const char* wrong : {"pages.tif#7", "brain.nii#axial:9", "brain.nii"}) {
    spill(folder / "own/manifest.csv",
          std::string("path,label,split\npages.tif#0,good,train\n") + wrong + ",good,test\n");
    bool said = false;
    try {
      const Category read_one = read("own", DatasetFormat::kManifest).categories.at(0);
      read_image(read_one.test.at(0).path);
    } catch (const DataError& error) {
      said = std::string(error.what()).find(wrong) != std::string::npos;
    }
    EXPECT_TRUE(said) << wrong;
  }
}

TEST_F(DatasetTest, Manifests) {
  copy("train/good/000.png", "own/a b.png");
  copy("train/good/001.png", "own/c,d.png");
  copy("test/good/000.png", "own/e.png");
  copy("test/scratch/000.png", "own/f.png");
  copy_mask("000", "own/f_mask.png");
  spill(folder / "own/manifest.csv",
        "path,label,mask,category,type,split\r\n"
        "a b.png,good,,lid,,train\r\n"
        "\"c,d.png\",0,,lid,,train\r\n"
        "e.png,normal,,lid,,test\r\n"
        "f.png,anomaly,f_mask.png,lid,dent,\r\n");
  expect_usual(read("own", DatasetFormat::kManifest).categories.at(0), "lid", "dent");

  spill(folder / "own/list.json",
        R"({"pictures": [{"path": "a b.png", "label": 0, "split": "train"},
                         {"path": "c,d.png", "label": false, "split": "train"},
                         {"path": "e.png", "type": "ok"},
                         {"path": "f.png", "label": 1, "mask": ["f_mask.png"]}]})");
  expect_usual(read("own/list.json", DatasetFormat::kManifest).categories.at(0), "own", "defect");

  const auto refuse = [&](const std::string& text, const std::string& word) {
    spill(folder / "own/bad.csv", text);
    const std::string message =
        message_of<DataError>([&] { read_dataset(folder / "own/bad.csv"); });
    EXPECT_NE(message.find(word), std::string::npos) << message;
    EXPECT_NE(message.find("bad.csv"), std::string::npos) << message;
  };
  refuse("label\ngood\n", "no column 'path'");
  refuse("path,label\ne.png\n", "line 2");
  refuse("path,label\nabsent.png,good\n", "absent.png");
  refuse("path,label\n\"e.png,good\n", "quotation");
  refuse("path,label,type\ne.png,good,dent\n", "contradict");
  refuse("path,split\ne.png,test\n", "neither a label nor a type");
  refuse("path,label,split\nf.png,bad,train\n", "training split");
  refuse("path,label\n", "no pictures");
  refuse("path,label\ne.png,dented\n", "'dented'");
  refuse("path,label,masks\nf.png,bad,f_mask.png\n", "'masks'");
  refuse("path,label\ne.png,good\n./e.png,good\n", "twice");
  spill(folder / "own/words.csv", "path,label\ne.png,False\nf.png,True\n");  // as pandas writes
  EXPECT_EQ(read_dataset(folder / "own/words.csv").categories.at(0).defects(),
            std::vector<std::string>{"defect"});
  spill(folder / "own/bad.json", R"([{"path": "f.png", "label": 1, "mask": [5]}])");
  EXPECT_NE(message_of<DataError>([&] { read_dataset(folder / "own/bad.json"); }).find("picture 1"),
            std::string::npos);
  spill(folder / "own/bad.json", R"([{"file": "e.png"}])");
  EXPECT_NE(message_of<DataError>([&] { read_dataset(folder / "own/bad.json"); }).find("'file'"),
            std::string::npos);
}

TEST_F(DatasetTest, WhatHasNoLayoutIsRefusedWithThoseThatThereAre) {
  spill(folder / "empty/readme.txt", "");
  const std::string message = message_of<DataError>([&] { read_dataset(folder / "empty"); });
  for (const char* word : {"empty", "MVTec", "1cls.csv", "Ungood", "Real-IAD", "manifest"}) {
    EXPECT_NE(message.find(word), std::string::npos) << word;
  }
  EXPECT_THROW(read_dataset(folder / "absent"), DataError);
  DatasetFormat format = DatasetFormat::kAuto;
  EXPECT_THROW(parse("coco", format), ConfigError);
  parse("real_iad", format);
  EXPECT_EQ(format, DatasetFormat::kRealIad);
  EXPECT_THROW(read_dataset(folder / "empty", DatasetFormat::kVisa), DataError);
}

TEST_F(DatasetTest, CategoriesOfTheSameNameAreToldApart) {
  for (const char* root : {"one/board", "two/board"}) {
    copy("train/good/000.png", fs::path(root) / "train/good/0.png");
    copy("test/good/000.png", fs::path(root) / "test/good/0.png");
  }
  const Dataset both =
      read_dataset(std::vector<fs::path>{folder / "one", folder / "two"}, DatasetFormat::kAuto);
  ASSERT_EQ(both.categories.size(), 2U);
  EXPECT_EQ(both.categories[0].name, "one/board");
  EXPECT_EQ(both.categories[1].name, "two/board");
  EXPECT_THROW(read_dataset(std::vector<fs::path>{folder / "one", folder / "one/board"}),
               DataError);
}

TEST_F(DatasetTest, TheCheckerFindsWhatIsWrong) {
  copy("train/good/000.png", "d/cat/train/good/0.png");
  copy("train/good/000.png", "d/cat/test/good/same.png");  // a duplicate
  copy("test/scratch/000.png", "d/cat/test/cut/0.png");    // no mask
  copy("test/scratch/000.png", "d/cat/test/hole/0.png");
  copy("test/scratch/001.png", "d/cat/test/hole/1.png");
  copy("test/scratch/001.png", "d/cat/test/hole/2.png");
  write_png(folder / "d/cat/ground_truth/hole/0_mask.png", cv::Mat::zeros(64, 64, CV_8U));
  write_png(folder / "d/cat/ground_truth/hole/1_mask.png", cv::Mat(32, 32, CV_8U, cv::Scalar(9)));
  write_png(folder / "d/cat/ground_truth/hole/2_mask.png", cv::Mat(10, 90, CV_8U, cv::Scalar(9)));
  const std::string bytes = slurp(folder / "d/cat/test/hole/2.png");
  spill(folder / "d/cat/test/good/torn.png", bytes.substr(0, bytes.size() / 2));

  const auto checks = check_dataset(read_dataset(folder / "d"), {});
  ASSERT_EQ(checks.size(), 1U);
  const CategoryCheck& check = checks[0];
  EXPECT_EQ(check.name, "cat");
  EXPECT_EQ(check.train, 1);
  EXPECT_EQ(check.test,
            (std::map<std::string, std::int64_t>{{"cut", 1}, {"good", 2}, {"hole", 3}}));
  EXPECT_EQ(check.picture_sizes, (std::map<std::string, std::int64_t>{{"64x64", 6}}));
  EXPECT_EQ(check.count("duplicate"), 3);
  EXPECT_EQ(check.count("missing mask"), 1);
  EXPECT_EQ(check.count("empty mask"), 1);
  EXPECT_EQ(check.count("mask of another size"), 1);
  EXPECT_EQ(check.count("mask without a ground"), 1);
  EXPECT_EQ(check.count("broken mask"), 1);  // other proportions
  EXPECT_EQ(check.count("broken picture"), 1);
  EXPECT_EQ(check.findings.size(), 9U);
}

}  // namespace
}  // namespace nagl
