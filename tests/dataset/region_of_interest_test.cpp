#include "nagl/dataset/region_of_interest.h"

#include "nagl/core/error.h"
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

}  // namespace
}  // namespace nagl
