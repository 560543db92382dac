#include "nagl/core/file_part.h"

#include <gtest/gtest.h>

#include "nagl/core/sha256.h"
#include "support.h"

namespace nagl {
namespace {

using testing::spill;
using testing::TemporaryFolder;

TEST(FilePart, FollowsAHashAfterAFile) {
  const TemporaryFolder folder;
  spill(folder / "a.nii.gz", "volume");
  spill(folder / "odd#name.png", "picture");
  spill(folder / "odd#name.tif", "pages");
  const FilePart slice = file_part_of(folder / "a.nii.gz#axial:77");
  EXPECT_EQ(slice.file, folder / "a.nii.gz");
  EXPECT_EQ(slice.part, "axial:77");
  EXPECT_TRUE(file_part_of(folder / "odd#name.png").part.empty());
  EXPECT_EQ(file_part_of(folder / "odd#name.tif#3").file, folder / "odd#name.tif");
  EXPECT_EQ(file_part_of(folder / "odd#name.tif#3").part, "3");
  EXPECT_EQ(file_part_of(folder / "absent.tif#3").file, folder / "absent.tif#3");
  EXPECT_EQ(file_of(folder / "a.nii.gz#axial:77"), folder / "a.nii.gz");
  EXPECT_EQ(file_of("#3"), "#3");
}

TEST(FilePart, MakesNamesThatSort) {
  EXPECT_EQ(stem_of("p/a.nii.gz#axial:7"), "p/a-axial-007");
  EXPECT_EQ(stem_of("a.tif#1234"), "a-1234");
  EXPECT_EQ(stem_of("a.b.tif#2"), "a.b-002");
  EXPECT_EQ(stem_of("p/x.png"), "p/x");
  EXPECT_EQ(stem_of("odd#name.png"), "odd#name");
}

TEST(FilePart, ChecksumsTellPartsApart) {
  const TemporaryFolder folder;
  spill(folder / "a.tif", "pages");
  EXPECT_EQ(sha256_of_part(folder / "a.tif"), sha256_of_file(folder / "a.tif"));
  const std::string first = sha256_of_part(folder / "a.tif#0");
  EXPECT_NE(first, sha256_of_part(folder / "a.tif#1"));
  EXPECT_EQ(first, sha256_of_part(folder / "a.tif#0"));
  spill(folder / "a.tif", "others");
  EXPECT_NE(first, sha256_of_part(folder / "a.tif#0"));
}

}  // namespace
}  // namespace nagl
