#include "nagl/dataset/pictures.h"

#include <opencv2/imgcodecs.hpp>

#include "nagl/core/error.h"
#include "nagl/dataset/dataset.h"
#include "nagl/dataset/region_of_interest.h"
#include "nagl/image/image.h"
#include "nagl/image/volume.h"
#include "support.h"
#include "volumes.h"

namespace nagl {
namespace {

namespace fs = std::filesystem;
using testing::message_of;
using testing::spill;
using testing::TemporaryFolder;

class PicturesTest : public ::testing::Test {
 protected:
  void touch(const std::vector<std::string>& names) {
    for (const auto& name : names) spill(folder / name, "x");
  }
  std::vector<std::string> listed(const std::string& below = "") {
    std::vector<std::string> names;
    for (const auto& file : list_pictures(folder / below))
      names.push_back(file.relative().string());
    return names;
  }
  TemporaryFolder folder;
};

TEST_F(PicturesTest, AreListedRecursivelyAndSorted) {
  touch(
      {"b.JPG", "a.png", "sub/c.tiff", "notes.txt", ".hidden.png", ".cache/d.png", "sub/._c.png"});
  EXPECT_EQ(listed(), (std::vector<std::string>{"a.png", "b.JPG", "sub/c.tiff"}));
  const auto named = list_pictures(folder / "notes.txt");  // named itself: taken at its word
  ASSERT_EQ(named.size(), 1U);
  EXPECT_EQ(named[0].relative(), "notes.txt");
}

TEST_F(PicturesTest, EmptyAndAbsentFoldersAreErrors) {
  touch({"text/a.txt"});
  EXPECT_NE(message_of<DataError>([&] { list_pictures(folder / "text"); }).find("no pictures"),
            std::string::npos);
  EXPECT_NE(message_of<DataError>([&] { list_pictures(folder / "absent"); }).find("absent"),
            std::string::npos);
  touch({"phone/IMG_1.HEIC"});
  EXPECT_NE(message_of<DataError>([&] { list_pictures(folder / "phone"); }).find(".heic files"),
            std::string::npos);
  touch({"yolo/1.txt"});
  EXPECT_NE(message_of<DataError>([&] { StemIndex(folder / "yolo", true); }).find("YOLO"),
            std::string::npos);
}

TEST_F(PicturesTest, LinksAreFollowedButNotInCircles) {
  touch({"a/1.png", "elsewhere/2.png"});
  std::filesystem::create_directory_symlink(folder / "elsewhere", folder / "a/link");
  std::filesystem::create_directory_symlink(folder / "a", folder / "a/circle");
  std::filesystem::create_symlink("self.png", folder / "a/self.png");
  EXPECT_EQ(listed("a"), (std::vector<std::string>{"1.png", "link/2.png", "self.png"}));
}

TEST_F(PicturesTest, ReferencesAreTakenOnceAndInOrder) {
  touch({"good/1.png", "good/2.png", "good/sub/3.png", "bad/x.png", "bad/y.png", "m/x_mask.png"});
  const auto names = [&](const std::vector<std::string>& paths, std::size_t shots) {
    std::vector<std::filesystem::path> full;
    for (const auto& path : paths) full.push_back(folder / path);
    std::string joined;
    for (const auto& file : choose_references(full, shots)) joined += file.path.stem().string();
    return joined;
  };
  EXPECT_EQ(names({"good"}, 0), "123");
  EXPECT_EQ(names({"good", "good/sub", "good"}, 0), "123");
  EXPECT_EQ(names({"good/2.png", "good"}, 2), "21");
  EXPECT_THROW(names({"good"}, 4), DataError);
  const auto pairs = pair_with_masks({{folder / "bad/x.png", folder / "bad"}}, folder / "m");
  EXPECT_EQ(pairs.at(0).masks.at(0), folder / "m/x_mask.png");
  EXPECT_NE(message_of<DataError>([&] {
              pair_with_masks(list_pictures(folder / "bad"), folder / "m");
            }).find("bad/y.png"),
            std::string::npos);
}

TEST_F(PicturesTest, MasksAreFoundByStem) {
  touch({"q/scratch/000.jpg", "q/hole/000.jpg", "q/hole/001.jpg", "q/x.png", "q/lost.png",
         "m/scratch/000_mask.png", "m/hole/000.png", "m/deep/001_mask.bmp", "m/x_mask.png"});
  const StemIndex index(folder / "m");
  const auto mask_of = [&](const std::string& name) -> std::string {
    const auto found = index.find({folder / "q" / name, folder / "q"});
    return found ? found->lexically_relative(folder / "m").string() : "";
  };
  EXPECT_EQ(mask_of("scratch/000.jpg"), "scratch/000_mask.png");
  EXPECT_EQ(mask_of("hole/000.jpg"), "hole/000.png");
  EXPECT_EQ(mask_of("hole/001.jpg"), "deep/001_mask.bmp");
  EXPECT_EQ(mask_of("x.png"), "x_mask.png");
  EXPECT_EQ(mask_of("lost.png"), "");
  touch({"q/000.jpg"});
  EXPECT_NE(message_of<DataError>([&] {
              index.find({folder / "q/000.jpg", {}});
            }).find("could belong"),
            std::string::npos);
}

TEST_F(PicturesTest, MasksAmongPicturesAreNone) {
  touch({"a/1.png", "a/1_mask.png", "a/2.JPG", "a/2_GT.png", "a/3_label.bmp", "a/4_mask.png",
         "a/gt/1.png", "a/label/5.png", "b/rgb/000.png", "b/gt/000.png", "b/depth/000.png"});
  std::vector<PictureFile> masks;
  std::vector<std::string> names;
  for (const auto& file : list_pictures(folder / "a", &masks)) {
    names.push_back(file.relative().string());
  }
  // What is called like a mask without a picture of its name is taken at its word.
  EXPECT_EQ(names, (std::vector<std::string>{"1.png", "2.JPG", "3_label.bmp", "4_mask.png",
                                             "label/5.png"}));
  ASSERT_EQ(masks.size(), 3U);
  EXPECT_EQ(masks[0].relative(), "1_mask.png");
  EXPECT_EQ(masks[2].relative(), "gt/1.png");
  EXPECT_EQ(listed("b"), (std::vector<std::string>{"depth/000.png", "rgb/000.png"}));
  EXPECT_EQ(listed("a/gt"), std::vector<std::string>{"1.png"});  // named itself
  // Below other folders too: what stands at the same place is theirs.
  touch({"nut/test/cut/1.png", "nut/test/good/1.png", "nut/ground_truth/cut/1_mask.png",
         "parts/good/1.png", "parts/torn_label/1.png", "parts/label/1.png", "c/cut/2.png",
         "c/cut_mask/2.png"});
  EXPECT_EQ(listed("nut"), (std::vector<std::string>{"test/cut/1.png", "test/good/1.png"}));
  EXPECT_EQ(listed("parts"),
            (std::vector<std::string>{"good/1.png", "label/1.png", "torn_label/1.png"}));
  EXPECT_EQ(listed("c"), std::vector<std::string>{"cut/2.png"});
  EXPECT_TRUE(is_mask_beside_picture(folder / "a/2_GT.png"));
  EXPECT_FALSE(is_mask_beside_picture(folder / "a/4_mask.png"));
  // They are masks all the same.
  const StemIndex index(folder / "a");
  EXPECT_EQ(index.find({folder / "a/2.JPG", folder / "a"}), folder / "a/2_GT.png");
}

TEST_F(PicturesTest, AMaskBelongsToOnePicture) {
  touch({"bad/hole/000.png", "bad/scratch/000.png", "bad/cut/000.png", "m/scratch/000_mask.png",
         "m/cut/000_mask.png", "flat/000_mask.png", "x/a.png", "x/a.jpg", "xm/a.bmp"});
  const auto pair = [&](const std::vector<std::string>& pictures, const std::string& root,
                        const std::string& masks) {
    std::vector<PictureFile> files;
    for (const auto& name : pictures) files.push_back({folder / name, folder / root});
    std::string found;
    for (const auto& one : pair_with_masks(files, folder / masks)) {
      found += one.masks.at(0).lexically_relative(folder / masks).string() + " ";
    }
    return found;
  };
  EXPECT_EQ(pair({"bad/scratch/000.png", "bad/cut/000.png"}, "bad", "m"),
            "scratch/000_mask.png cut/000_mask.png ");
  EXPECT_EQ(pair({"bad/scratch/000.png"}, "bad/scratch", "m"), "scratch/000_mask.png ");
  // hole/000 has none: those of scratch and cut belong to others, whatever their names.
  for (const char* root : {"bad", "bad/hole"}) {
    EXPECT_NE(
        message_of<DataError>([&] { pair({"bad/hole/000.png"}, root, "m"); }).find("has no mask"),
        std::string::npos);
  }
  EXPECT_EQ(pair({"bad/hole/000.png"}, "bad", "flat"), "000_mask.png ");
  const auto both = message_of<DataError>([&] {
    pair({"bad/hole/000.png", "bad/scratch/000.png"}, "bad", "flat");
  });
  EXPECT_NE(both.find("hole/000.png"), std::string::npos) << both;
  EXPECT_NE(both.find("scratch/000.png"), std::string::npos) << both;
  EXPECT_NE(message_of<DataError>([&] {
              pair({"x/a.png", "x/a.jpg"}, "x", "xm");
            }).find("a.jpg"),
            std::string::npos);
  // One region of interest may serve many pictures.
  const RoiFinder roi(folder / "flat");
  for (const char* name : {"bad/hole/000.png", "bad/scratch/000.png"}) {
    EXPECT_EQ(roi.find({folder / name, folder / "bad"}), folder / "flat/000_mask.png");
  }
}

TEST_F(PicturesTest, ListsOfOtherSystemsAreRead) {
  touch({"a/b.png", "c\\d.png"});
  EXPECT_EQ(listed_path(folder.path(), "a\\b.png"), folder / "a/b.png");
  EXPECT_EQ(listed_path(folder.path(), "a/b.png"), folder / "a/b.png");
  EXPECT_EQ(listed_path(folder.path(), "c\\d.png"), folder / "c\\d.png");  // is called that
}

TEST_F(PicturesTest, PlainFoldersAreNotGuessedWithinAnotherLayout) {
  touch({"can/train/good/0.png", "can/validation/good/0.png", "can/test_open/good/0.png",
         "can/test_open/bad/0.png", "can/test_private/0.png"});
  for (const char* root : {"can", "can/test_open"}) {
    const auto message = message_of<DataError>([&] { read_dataset(folder / root); });
    EXPECT_NE(message.find("training split"), std::string::npos) << message;
    EXPECT_NE(message.find("train/good"), std::string::npos) << message;
  }
  EXPECT_EQ(read_dataset(folder / "can/test_open", DatasetFormat::kFolders).categories.size(), 1U);
}

TEST_F(PicturesTest, MvtecLayoutIsRead) {
  touch({"d/nut/train/good/1.png", "d/nut/train/good/0.png", "d/nut/test/good/0.png",
         "d/nut/test/hole/0.png", "d/nut/test/cut/0.png", "d/nut/ground_truth/hole/0_mask.png",
         "d/bolt/train/good/0.png", "d/bolt/test/good/0.png", "d/readme.txt"});
  const auto dataset = read_dataset(folder / "d");
  ASSERT_EQ(dataset.categories.size(), 2U);
  EXPECT_EQ(dataset.categories[0].name, "bolt");
  const auto& nut = dataset.categories[1];
  EXPECT_EQ(nut.name, "nut");
  EXPECT_EQ(nut.train.size(), 2U);
  EXPECT_EQ(nut.train[0].path.filename(), "0.png");
  ASSERT_EQ(nut.test.size(), 3U);
  EXPECT_EQ(nut.defects(), (std::vector<std::string>{"cut", "hole"}));
  EXPECT_EQ(nut.test[0].defect, "cut");
  EXPECT_TRUE(nut.test[0].masks.empty());
  EXPECT_EQ(nut.test[2].masks.at(0), folder / "d/nut/ground_truth/hole/0_mask.png");
  EXPECT_EQ(read_dataset(folder / "d/nut/").categories.at(0).name, "nut");
  EXPECT_THROW(read_dataset(folder / "d/nut/train"), DataError);
  EXPECT_THROW(read_dataset(folder / "absent"), DataError);
}

TEST_F(PicturesTest, APicturesPlaceTellsItsLabel) {
  touch({"nut/train/good/0.png", "nut/test/good/0.png", "nut/test/hole/0.png", "nut/test/cut/0.png",
         "nut/ground_truth/hole/0_mask.png", "nut/ground_truth/cut/0.png",
         "nut/test/hole/deep/1.png", "nut/ground_truth/hole/deep/1_mask.bmp",
         "other/test/hole/0.png"});
  MvtecLocator locator;
  const auto locate_in_mvtec = [&](const std::filesystem::path& path) {
    return locator.find(path);
  };
  EXPECT_EQ(locate_in_mvtec(folder / "nut/train/good/0.png")->defect, kGood);
  EXPECT_FALSE(locate_in_mvtec(folder / "nut/test/good/0.png")->anomalous());
  const auto hole = locate_in_mvtec(folder / "nut/test/hole/0.png");
  EXPECT_EQ(hole->defect, "hole");
  EXPECT_EQ(hole->masks.at(0), folder / "nut/ground_truth/hole/0_mask.png");
  EXPECT_EQ(locate_in_mvtec(folder / "nut/test/cut/0.png")->masks.at(0),
            folder / "nut/ground_truth/cut/0.png");
  EXPECT_EQ(locate_in_mvtec(folder / "nut/test/hole/deep/1.png")->masks.at(0),
            folder / "nut/ground_truth/hole/deep/1_mask.bmp");
  EXPECT_FALSE(locate_in_mvtec(folder / "other/test/hole/0.png").has_value());
  EXPECT_FALSE(locate_in_mvtec(folder / "nut/ground_truth/cut/0.png").has_value());
}

TEST_F(PicturesTest, SlicesAndPagesHaveMasksOfTheirOwn) {
  std::string nothing = testing::nifti({6, 5, 4}, testing::kRas);
  spill(folder / "in/x.nii", nothing);
  spill(folder / "in/x_mask.nii", nothing);
  spill(folder / "masks/x.nii", nothing);
  try {
    read_volume(folder / "in/x.nii");
  } catch (const DataError&) {
    GTEST_SKIP() << "built without libnifti";
  }
  // The mask beside a volume is no picture.
  EXPECT_EQ(list_pictures(folder / "in").size(), 4U);
  const auto pairs = pair_with_masks(list_pictures((folder / "in/x.nii").string() + "#axial:1-2"),
                                     folder / "masks");
  ASSERT_EQ(pairs.size(), 2U);
  EXPECT_EQ(pairs[0].masks.at(0).filename(), "x.nii#axial:1");
  EXPECT_EQ(pairs[1].masks.at(0).filename(), "x.nii#axial:2");
  EXPECT_THROW(pair_with_masks(list_pictures((folder / "in/x.nii").string() + "#coronal:1"),
                               folder / "masks"),
               DataError);
  // In a folder, a volume that is damaged is named where it is read, and an empty one is nothing.
  spill(folder / "mixed/broken.nii.gz", "no volume");
  std::fill(nothing.begin() + 352, nothing.end(), '\0');
  spill(folder / "mixed/empty.nii", nothing);
  write_png(folder / "mixed/a.png", cv::Mat::zeros(4, 4, CV_8U));
  const auto mixed = list_pictures(folder / "mixed");
  ASSERT_EQ(mixed.size(), 2U);
  EXPECT_THROW(read_image(mixed[1].path), DataError);
  // Pages.
  ASSERT_TRUE(cv::imwritemulti((folder / "stack.tif").string(),
                               std::vector<cv::Mat>(3, cv::Mat::zeros(4, 4, CV_8U))));
  fs::create_directories(folder / "pages");
  fs::copy_file(folder / "stack.tif", folder / "pages/stack_mask.tif");
  const auto page =
      pair_with_masks(list_pictures((folder / "stack.tif").string() + "#2"), folder / "pages");
  EXPECT_EQ(page.at(0).masks.at(0).filename(), "stack_mask.tif#2");
}

}  // namespace
}  // namespace nagl
