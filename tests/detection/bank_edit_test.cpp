#include "nagl/detection/bank_edit.h"

#include "nagl/core/error.h"
#include "parts.h"

namespace nagl {
namespace {

using testing::defect_mask;
using testing::message_of;
using testing::part;

class BankEditTest : public testing::PartsTest {
 protected:
  void SetUp() override {
    PartsTest::SetUp();
    if (IsSkipped()) return;
    options.encoding.image_size = {56, 56};
    for (std::uint64_t i = 7; i < 9; ++i) {
      defects.push_back(folder / ("bad" + std::to_string(i) + ".png"));
      write_png(defects.back(), part(i, true));
    }
  }
  /// Of pictures by their numbers, read as `nagl enroll` does.
  Bank bank_of(const std::vector<std::size_t>& normal, const std::vector<std::size_t>& abnormal,
               std::optional<TrainedHead> head = {}, const cv::Mat& roi = {}) const {
    BankBuilder builder(backbone, options, std::move(head), 1, roi);
    for (const auto i : normal) builder.add_normal(read_image(references.normal[i]));
    for (const auto i : abnormal) builder.add_abnormal(read_image(defects[i]), defect_mask());
    return builder.finish();
  }
  std::string bytes(const Bank& bank) const { return bank_bytes(bank, *backbone); }
  Bank loaded(const Bank& bank) const {
    save_bank(folder / "bank.safetensors", bank, *backbone);
    return load_bank(folder / "bank.safetensors", at::kCPU);
  }

  std::vector<std::filesystem::path> defects;
};

TEST_F(BankEditTest, RemovingGivesTheBankThatWasNeverGivenThePictures) {
  for (const auto method : {Method::kNormalNn, Method::kNagl, Method::kAuto}) {
    for (const std::int64_t tile : {0, 80}) {
      SCOPED_TRACE(::testing::Message() << to_string(method) << " " << tile);
      options.method = method;
      options.turns = method == Method::kAuto ? 4 : 1;
      options.encoding.tiling.tile = tile;
      const auto head = [&] {
        return method == Method::kNagl ? std::optional(untrained_head()) : std::nullopt;
      };
      const bool by_defects = method != Method::kNormalNn;
      const std::vector<std::size_t> both =
          by_defects ? std::vector<std::size_t>{0, 1} : std::vector<std::size_t>{};
      Bank bank = loaded(bank_of({0, 1, 2}, both, head()));
      bank.calibration.emplace();
      bank.decisions = {{"a.png", bank.normal[1].checksum, false}, {"b.png", "b", true}};
      Bank left = without_pictures(backbone, bank, {{1}, {}});
      EXPECT_FALSE(left.calibration);
      ASSERT_EQ(left.decisions.size(), 1U);
      EXPECT_EQ(left.decisions[0].path, "b.png");
      left.decisions.clear();
      bank.decisions.clear();
      EXPECT_TRUE(bytes(left) == bytes(bank_of({0, 2}, both, head())));
      // The last good one is scored by its mirror image, which must be made again.
      EXPECT_TRUE(bytes(without_pictures(backbone, bank, {{0, 2}, {}})) ==
                  bytes(bank_of({1}, both, head())));
      if (by_defects) {
        EXPECT_TRUE(bytes(without_pictures(backbone, bank, {{0}, {1}})) ==
                    bytes(bank_of({1, 2}, {0}, head())));
      }
      if (method == Method::kAuto) {  // nearest neighbours again
        EXPECT_TRUE(bytes(without_pictures(backbone, bank, {{}, {1, 0}})) ==
                    bytes(bank_of({0, 1, 2}, {})));
      }
      EXPECT_THROW(without_pictures(backbone, bank, {{0, 1, 2}, {}}), ConfigError);
    }
  }
}

TEST_F(BankEditTest, RemovingKeepsARegionOfInterest) {
  options.method = Method::kAuto;
  cv::Mat roi = cv::Mat::zeros(120, 160, CV_8U);
  roi.colRange(60, 160).setTo(255);
  const Bank bank = loaded(bank_of({0, 1, 2}, {0, 1}, {}, roi));
  EXPECT_TRUE(bytes(without_pictures(backbone, bank, {{2}, {0}})) ==
              bytes(bank_of({0, 1}, {1}, {}, roi)));
}

TEST_F(BankEditTest, OneThatIsGoneLeavesUsualColours) {
  const Bank bank = bank_of({0, 1}, {});
  write_png(references.normal[0], part(99, false));
  std::string told;
  const Bank left =
      without_pictures(backbone, bank, {{1}, {}}, [&](const std::string& why) { told = why; });
  EXPECT_NE(told.find("0.png"), std::string::npos);
  EXPECT_FALSE(left.probe_scores.defined());
  EXPECT_EQ(Detector(backbone, left).detect(query(20, false)).verdict, Verdict::kUnknown);
}

TEST_F(BankEditTest, AThinnedBankKeepsTheOthersRows) {
  options.method = Method::kAuto;
  options.coreset = 0.25;
  const Bank bank = bank_of({0, 1, 2}, {0, 1});
  const Bank left = without_pictures(backbone, bank, {{0}, {0}});
  EXPECT_EQ(left.features.normal_rows, (std::vector<std::int64_t>{4, 4}));
  EXPECT_TRUE(left.features.normal.equal(bank.features.normal.slice(0, 4)));
  EXPECT_EQ(left.abnormal.size(), 1U);
  EXPECT_GT(Detector(backbone, loaded(left)).detect(query(20, true)).image_score,
            Detector(backbone, left).detect(query(20, false)).image_score);
}

TEST_F(BankEditTest, JoiningGivesTheBankOfAllPictures) {
  for (const auto method : {Method::kNormalNn, Method::kAuto}) {
    options.method = method;
    options.turns = method == Method::kAuto ? 4 : 1;
    const bool by_defects = method == Method::kAuto;
    const auto some = [&](std::size_t i) {
      return by_defects ? std::vector<std::size_t>{i} : std::vector<std::size_t>{};
    };
    const Bank first = bank_of({0, 1}, some(0)), second = loaded(bank_of({1, 2}, some(1)));
    const auto all = by_defects ? std::vector<std::size_t>{0, 1} : std::vector<std::size_t>{};
    EXPECT_TRUE(bytes(joined(backbone, first, second)) == bytes(bank_of({0, 1, 2}, all)));
    EXPECT_TRUE(bytes(joined(backbone, first, first)) == bytes(first));
    if (by_defects) {  // good pictures alone, then a defect
      EXPECT_TRUE(bytes(joined(backbone, bank_of({0}, {}), second)) ==
                  bytes(bank_of({0, 1, 2}, some(1))));
    }
  }
  const Bank bank = bank_of({0}, {});
  options.turns = 1;
  const Bank other = bank_of({1}, {});
  EXPECT_NE(message_of<ConfigError>([&] { joined(backbone, bank, other); }).find("turns"),
            std::string::npos);
}

}  // namespace
}  // namespace nagl
