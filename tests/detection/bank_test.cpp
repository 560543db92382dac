#include "nagl/detection/bank.h"

#include "nagl/core/error.h"
#include "nagl/core/json.h"
#include "nagl/core/options.h"
#include "nagl/detection/calibrator.h"
#include "nagl/detection/reference_scale.h"
#include "nagl/model/weights.h"
#include "parts.h"

namespace nagl {
namespace {

using testing::defect_mask;
using testing::max_difference;
using testing::message_of;
using testing::part;
using testing::slurp;
using testing::spill;

class BankTest : public testing::PartsTest {
 protected:
  static Image image(std::uint64_t seed, bool defect) { return {part(seed, defect), {}, {}}; }
  Bank load() const { return load_bank(folder / "bank.safetensors", at::kCPU); }
  void save(const Bank& bank) const { save_bank(folder / "bank.safetensors", bank, *backbone); }
  PictureEncoder encoder() const { return PictureEncoder(backbone, options.encoding); }
  void expect_same_answers(const Bank& a, const Bank& b) const {
    const Detector first(backbone, a), second(backbone, b);
    for (const bool defect : {false, true}) {
      const auto one = first.detect(query(20, defect)), other = second.detect(query(20, defect));
      EXPECT_EQ(one.image_score, other.image_score);
      EXPECT_EQ(cv::norm(one.map, other.map, cv::NORM_INF), 0);
    }
    const auto scale = reference_scale(first), same = reference_scale(second);
    EXPECT_EQ(scale.low, same.low);
    EXPECT_EQ(scale.good, same.good);
    EXPECT_EQ(scale.high, same.high);
  }
};

TEST_F(BankTest, AFileGivesTheSameAnswers) {
  for (const auto method :
       {Method::kNormalNn, Method::kBothNn, Method::kNagl, Method::kDiscriminant, Method::kAuto}) {
    SCOPED_TRACE(to_string(method));
    options.method = method;
    options.coreset = method == Method::kAuto ? 0.5 : 1;
    const Bank bank =
        make_bank(backbone, references, options,
                  method == Method::kNagl ? std::optional(untrained_head()) : std::nullopt);
    save(bank);
    const Bank loaded = load();
    EXPECT_EQ(option_to_json(loaded.options), option_to_json(bank.options));
    EXPECT_TRUE(loaded.options.encoding == encoder().options());
    EXPECT_EQ(loaded.origin.backbone_checksum, backbone->checksum());
    EXPECT_EQ(loaded.normal.size(), 3U);
    EXPECT_EQ(loaded.normal[1].path, references.normal[1].string());
    expect_same_answers(bank, loaded);
  }
}

TEST_F(BankTest, AddingGivesWhatMakingAtOnceGives) {
  for (const double coreset : {1.0, 0.2}) {
    for (const std::int64_t turns : {1, 4}) {
      for (const std::int64_t tile : {0, 80}) {
        SCOPED_TRACE(::testing::Message() << coreset << " " << turns << " " << tile);
        options = {};
        options.method = turns == 1 ? Method::kNagl : Method::kAuto;
        options.encoding.image_size = {56, 56};
        options.coreset = coreset;
        options.turns = turns;
        options.encoding.tiling.tile = tile;
        const auto head = turns == 1 ? std::optional(untrained_head()) : std::nullopt;
        BankBuilder at_once(backbone, options, head);
        for (std::uint64_t i = 0; i < 3; ++i) at_once.add_normal(image(i, false));
        at_once.add_abnormal(image(7, true), defect_mask());
        at_once.add_abnormal(image(8, true), defect_mask());
        const Bank whole = at_once.finish();

        BankBuilder first(backbone, options, head);
        for (std::uint64_t i = 0; i < 2; ++i) first.add_normal(image(i, false));
        first.add_abnormal(image(7, true), defect_mask());
        save(first.finish());
        BankBuilder second(backbone, load());
        const auto known = second.same_shot(image(1, false));
        EXPECT_TRUE(known && known->exact);
        EXPECT_TRUE(second.holds_abnormal(image(7, true)));
        EXPECT_FALSE(second.same_shot(image(2, false)));
        EXPECT_FALSE(second.holds_abnormal(image(1, false)));
        second.add_normal(image(2, false));
        second.add_abnormal(image(8, true), defect_mask());
        const Bank added = second.finish();

        EXPECT_EQ(added.features.normal_rows, whole.features.normal_rows);
        EXPECT_EQ(added.features.abnormal_views, whole.features.abnormal_views);
        EXPECT_TRUE(added.features.normal.equal(whole.features.normal));
        EXPECT_TRUE(added.features.abnormal.equal(whole.features.abnormal));
        EXPECT_TRUE(added.features.patch_mask.equal(whole.features.patch_mask));
        EXPECT_EQ(added.features.surroundings.defined(), turns == 4);
        EXPECT_EQ(added.features.normal_moments.size(), turns == 4 ? 3U : 0U);
        EXPECT_EQ(added.features.abnormal_moments.size(), turns == 4 ? 2U : 0U);
        if (turns == 4) {
          EXPECT_TRUE(added.features.surroundings.equal(whole.features.surroundings));
          EXPECT_TRUE(added.features.clear.equal(whole.features.clear));
          EXPECT_TRUE(added.features.drawn.equal(whole.features.drawn));
        }
        if (coreset == 1) expect_same_answers(whole, added);
      }
    }
  }
}

/// The left half of a part; its defects lie in the other one.
cv::Mat left_half() {
  cv::Mat roi = cv::Mat::zeros(120, 160, CV_8U);
  roi.colRange(0, 80).setTo(255);
  return roi;
}

TEST_F(BankTest, ReferencesHaveNoRowsOutsideItsRegionOfInterest) {
  for (const std::int64_t turns : {1, 4}) {
    for (const double coreset : {1.0, 0.5}) {
      SCOPED_TRACE(::testing::Message() << turns << " " << coreset);
      options.method = Method::kAuto;
      options.turns = turns;
      options.coreset = coreset;
      BankBuilder builder(backbone, options, {}, 1, left_half());
      builder.add_normal(image(0, /*defect=*/true));
      builder.add_normal(image(1, /*defect=*/false));
      cv::Mat moved = part(9, false);
      cv::rectangle(moved, cv::Rect(30, 30, 30, 30), cv::Scalar(250, 240, 40), -1);
      cv::Mat mask = cv::Mat::zeros(120, 160, CV_8U);
      cv::rectangle(mask, cv::Rect(30, 30, 30, 30), cv::Scalar(255), -1);
      EXPECT_NE(message_of<DataError>([&] {
                  builder.add_abnormal(image(7, true), defect_mask());
                }).find("inside the region of interest"),
                std::string::npos);
      builder.add_abnormal({moved, {}, {}}, mask);
      EXPECT_NE(message_of<DataError>([&] {
                  builder.add_normal({part(3, false, {160, 160}), "square.png", {}});
                }).find("square.png"),
                std::string::npos);
      const Bank begun = builder.finish();
      // 8 x 10 patches, of which 8 x 5 lie in the left half; turned, 4 x 10.
      const auto rows = static_cast<std::int64_t>(40 * coreset) * turns;
      EXPECT_EQ(begun.features.normal_rows, (std::vector<std::int64_t>{rows, rows}));
      EXPECT_EQ(begun.features.normal_moments[0].count, 40);  // of the picture as it lies
      EXPECT_EQ(begun.features.patch_mask.reshape({8, 10}).slice(1, 5).sum().item<int>(), 0);
      EXPECT_EQ(begun.features.clear.reshape({8, 10}).slice(1, 5).sum().item<int>(), 0);
      EXPECT_EQ(begun.probe_scores.size(1), 80);
      EXPECT_TRUE(at::isfinite(begun.probe_scores).all().item<bool>());

      save(begun);
      BankBuilder more(backbone, load());
      more.add_normal(image(2, true));
      save(more.finish());
      const Bank bank = load();
      EXPECT_EQ(bank.features.normal_rows, (std::vector<std::int64_t>{rows, rows, rows}));
      EXPECT_EQ(cv::norm(bank.roi, left_half(), cv::NORM_INF), 0);
      // The square is usual on the right, where nobody looks, so it is none on the left.
      const Detector detector(backbone, bank);
      const Detection good = detector.detect(query(20, true));
      const Detection bad = detector.detect(Query({moved, {}, {}}));
      EXPECT_GT(bad.image_score, good.image_score + 0.1);
      EXPECT_EQ(cv::countNonZero(good.map.colRange(80, 160)), 0);
      EXPECT_GT(cv::countNonZero(good.map.colRange(0, 80)), 0);
      EXPECT_LT(reference_scale(detector).good, bad.scores.raw_image_score());
      // A query's own region counts within the bank's.
      Query lower = query(20, true);
      lower.roi = cv::Mat::zeros(60, 80, CV_8U);
      lower.roi.rowRange(30, 60).setTo(255);
      const Detection part_of_it = detector.detect(lower);
      EXPECT_EQ(cv::countNonZero(part_of_it.map.rowRange(0, 60)), 0);
      EXPECT_EQ(cv::countNonZero(part_of_it.map.colRange(80, 160)), 0);
      EXPECT_THROW(detector.detect(Query({part(1, false, {120, 160}), {}, {}})), DataError);
    }
  }
  options.encoding.tiling.tile = 80;
  EXPECT_NE(message_of<ConfigError>([&] {
              BankBuilder(backbone, options, {}, 1, left_half());
            }).find("tiles"),
            std::string::npos);
  options.encoding.tiling.tile = 0;
  EXPECT_THROW(BankBuilder(backbone, options, {}, 1, cv::Mat::zeros(120, 160, CV_8U)), DataError);
}

TEST_F(BankTest, HoldsAsManyRowsAsWasToldBefore) {
  options.encoding.image_size = {56, 56};
  for (const double coreset : {1.0, 0.1}) {
    for (const std::int64_t tile : {0, 80}) {
      options.coreset = coreset;
      options.encoding.tiling.tile = tile;
      options.turns = 4;
      BankBuilder builder(backbone, options);
      builder.add_normal(image(1, false));
      EXPECT_EQ(builder.finish().features.normal.size(0),
                expected_rows({160, 120}, encoder(), options.turns, coreset));
    }
  }
  options.encoding.tiling.tile = 80;
  options.coreset = 0.1;
  // Four angles, 3 x 2 tiles of 16 patches, of which a tenth is 2 (rounded up).
  EXPECT_EQ(expected_rows({160, 120}, encoder(), 4, 0.1), 4 * 6 * 2);
}

TEST_F(BankTest, EveryTileOfADefectIsAReference) {
  options.method = Method::kBothNn;
  options.encoding.image_size = {56, 56};
  options.encoding.tiling = {80, 0.25};
  BankBuilder builder(backbone, options);
  builder.add_normal(image(0, false));
  builder.add_abnormal(image(7, true), defect_mask());
  const Bank bank = builder.finish();
  // Tiles begin at 0, 40, 80 and 0, 40; the square at 100..129, 30..59 lies in four of the six.
  EXPECT_EQ(bank.features.abnormal_views, (std::vector<std::int64_t>{4}));
  EXPECT_EQ(bank.abnormal.size(), 1U);
}

TEST_F(BankTest, TilesWithoutAMarkAreSurroundingsAndAMarkCountsAcrossTheirEdges) {
  options.method = Method::kAuto;
  options.encoding.image_size = {112, 112};
  options.encoding.tiling = {80, 0};  // 2 x 2 tiles of 8 x 8 patches of 10 pixels
  BankBuilder builder(backbone, options);
  builder.add_normal(image(0, false));
  cv::Mat mask = cv::Mat::zeros(120, 160, CV_8U);
  mask(cv::Rect(80, 0, 10, 10)).setTo(255);  // the first patch of the second tile
  builder.add_abnormal(image(7, true), mask);
  const Bank bank = builder.finish();
  EXPECT_EQ(bank.features.abnormal_views, (std::vector<std::int64_t>{4}));
  EXPECT_EQ(bank.features.abnormal.size(0), 1);
  EXPECT_EQ(bank.features.surroundings.size(0), 4 * 64 - 15);
  const at::Tensor unclear = bank.features.clear.logical_not().reshape({4, 8, 8});
  EXPECT_EQ(unclear.sum().item<int>(), 3 * 3 + 3 * 2);
  EXPECT_TRUE(unclear[0].slice(0, 0, 3).slice(1, 6).all().item<bool>());  // left of the mark
  EXPECT_TRUE(unclear[1].slice(0, 0, 3).slice(1, 0, 3).all().item<bool>());
}

TEST_F(BankTest, TurnedPartsAreNothingNewAfterTurnedReferences) {
  cv::Mat striped = part(1, false, {112, 112});
  for (int x = 0; x < 112; x += 8) striped.colRange(x, x + 3).setTo(cv::Scalar(20, 200, 40));
  cv::Mat turned;
  cv::rotate(striped, turned, cv::ROTATE_90_CLOCKWISE);
  options.encoding.image_size = {112, 112};
  std::vector<double> scores;
  for (const std::int64_t turns : {1, 4, 8}) {
    options.turns = turns;
    BankBuilder builder(backbone, options);
    builder.add_normal({striped, {}, {}});
    Bank bank = builder.finish();
    EXPECT_EQ(bank.features.normal.size(0), 64 * turns);
    EXPECT_EQ(bank.normal.size(), 1U);
    scores.push_back(Detector(backbone, std::move(bank)).detect(Image{turned, {}, {}}).image_score);
  }
  EXPECT_GT(scores[0], 0.01);
  EXPECT_LT(scores[1], 1e-4);
  EXPECT_LT(scores[2], 1e-4);
}

TEST_F(BankTest, DamagedAndForeignFilesAreRefused) {
  options.method = Method::kBothNn;
  save(make_bank(backbone, references, options));
  const std::string bytes = slurp(folder / "bank.safetensors");
  const auto refuse = [&](const std::string& changed, const std::string& because) {
    spill(folder / "changed.safetensors", changed);
    const auto message =
        message_of<ModelError>([&] { load_bank(folder / "changed.safetensors", at::kCPU); });
    EXPECT_NE(message.find("changed.safetensors"), std::string::npos) << message;
    EXPECT_NE(message.find(because), std::string::npos) << message;
  };
  const auto replaced = [&](const std::string& from, const std::string& to) {
    EXPECT_EQ(from.size(), to.size());
    std::string changed = bytes;
    const auto at = changed.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    changed.replace(at, from.size(), to);
    return changed;
  };
  refuse(bytes.substr(0, bytes.size() / 2), "truncated");
  refuse(bytes.substr(0, 5), "truncated");
  refuse("", "truncated");
  refuse("hello, this is no bank at all", "not a safetensors file");
  refuse(replaced("nagl bank", "nagl head"), "nagl enroll");
  refuse(replaced("\"preprocess_version\":\"1\"", "\"preprocess_version\":\"9\""),
         "enroll them again");
  refuse(replaced("\\\"turns\\\":1", "\\\"turns\\\":3"), "turns");
  refuse(replaced("\\\"turns\\\":1", "\\\"turnz\\\":1"), "turnz");
  refuse(replaced("\\\"normal_rows\\\":[80,80,80]", "\\\"normal_rows\\\":[80,80,79]"), "damaged");
  refuse(replaced("\\\"abnormal_views\\\":[1]", "\\\"abnormal_views\\\":[2]"), "damaged");
  std::string nan = bytes;
  const auto normal = WeightsFile(folder / "bank.safetensors").entry("normal").begin;
  for (std::size_t i = 0; i < 4; ++i) nan[normal + i] = '\xFF';
  refuse(nan, "damaged");
  EXPECT_THROW(load_bank(folder / "absent.safetensors", at::kCPU), ModelError);
}

/// The file as nagl 0.1 wrote it: options of the encoding among the bank's, of pictures path and
/// checksum alone, no thumbnails.
void write_as_version_01(const std::filesystem::path& path) {
  std::map<std::string, at::Tensor> tensors;
  std::map<std::string, std::string> metadata;
  {
    const WeightsFile file(path);
    metadata = file.metadata();
    for (const auto& [name, entry] : file.entries()) {
      if (!name.ends_with("_thumbnails")) tensors[name] = file.read(name);
    }
  }
  Json record = parse_json(metadata["bank"]);
  Json options = record["options"], older = Json::object();
  for (const char* key : {"method", "turns", "coreset"}) older[key] = options[key];
  for (const char* key : {"image_size", "mask_alignment", "decode", "tiling"}) {
    older[key] = options["encoding"][key];
  }
  record["options"] = older;
  for (const char* part : {"normal", "abnormal"}) {
    for (auto& picture : record[part]) {
      picture = {{"path", picture["path"]}, {"checksum", picture["checksum"]}};
    }
  }
  for (const char* key : {"normal_moments", "abnormal_moments", "decisions"}) {
    record.erase(key);
  }
  if (!record["calibration"].is_null()) {
    for (const char* key :
         {"uncertain_threshold", "good_score", "defect_score", "good_least", "good_most"}) {
      record["calibration"].erase(key);
    }
  }
  metadata["bank"] = dump_json(record);
  metadata["nagl_version"] = "0.1.0";
  write_weights(path, tensors, metadata);
}

TEST_F(BankTest, FilesOfVersion01AreRead) {
  for (const auto method : {Method::kNormalNn, Method::kBothNn}) {
    options.method = method;
    Bank bank = make_bank(backbone, references, options);
    bank.calibration.emplace();
    bank.calibration->image_threshold = bank.calibration->map_threshold = 0.3;
    save(bank);
    write_as_version_01(folder / "bank.safetensors");
    const Bank loaded = load();
    EXPECT_EQ(option_to_json(loaded.options), option_to_json(bank.options));
    expect_same_answers(bank, loaded);
    EXPECT_FALSE(loaded.calibration->uncertain_threshold);
    EXPECT_EQ(loaded.normal[0].width, 0);
    // It can be added to, calibrated (by its pictures' files) and written again.
    BankBuilder builder(backbone, loaded);
    builder.add_normal(image(50, false));
    Bank more = builder.finish();
    EXPECT_EQ(more.features.normal_count(), 4);
    save(loaded);
    EXPECT_GT(calibrate(backbone, load(), {}, {}, 1).image_threshold, 0);
  }
}

TEST_F(BankTest, AnotherBackboneOrLayerIsAModelError) {
  save(make_bank(backbone, references, options));
  BackboneOptions other;
  other.layer = backbone->layer() - 1;
  const auto shallow = std::make_shared<Backbone>(backbone->path(), other);
  const auto message = message_of<ModelError>([&] { Detector(shallow, load()); });
  EXPECT_NE(message.find("layer"), std::string::npos) << message;
  EXPECT_THROW(BankBuilder(shallow, load()), ModelError);
  auto foreign = load();
  foreign.origin.backbone_checksum = std::string(64, '0');
  EXPECT_THROW(Detector(backbone, foreign), ModelError);
  auto head = untrained_head();
  head.origin.layer += 1;
  EXPECT_THROW(BankBuilder(backbone, options, head), ModelError);
}

TEST_F(BankTest, PicturesOfAnotherKindAreRefused) {
  BankBuilder builder(backbone, options);
  EXPECT_THROW(builder.add_normal({cv::Mat(), {}, {}}), DataError);
  EXPECT_THROW(builder.add_normal({cv::Mat(40, 40, CV_8U), {}, {}}), DataError);
  EXPECT_THROW(builder.add_abnormal(image(7, true), cv::Mat(120, 160, CV_32F)), DataError);
  builder.add_normal(image(0, false));  // what was refused left no trace
  EXPECT_EQ(builder.finish().normal.size(), 1U);
}

TEST_F(BankTest, AddingADefectKeepsTheScaleOfALonePicture) {
  options.method = Method::kBothNn;
  options.encoding.image_size = {56, 56};
  BankBuilder first(backbone, options);
  first.add_normal(image(0, false));
  first.add_abnormal(image(7, true), defect_mask());
  save(first.finish());
  BankBuilder second(backbone, load());
  second.add_abnormal(image(8, true), defect_mask());
  const Bank added = second.finish();
  EXPECT_TRUE(added.probe_scores.defined());
  EXPECT_LT(reference_scale(Detector(backbone, added)).high, 1);
}

TEST_F(BankTest, AThinnedBankThinsSurroundingsTooAndKnowsAllTheSame) {
  options.method = Method::kAuto;
  options.encoding.image_size = {112, 112};
  const Bank whole = make_bank(backbone, references, options);
  options.coreset = 0.25;
  const Bank thinned = make_bank(backbone, references, options);
  const std::int64_t clear = whole.features.clear.sum().item<std::int64_t>();
  EXPECT_EQ(whole.features.surroundings.size(0), clear);
  EXPECT_EQ(thinned.features.surroundings.size(0), (clear + 3) / 4);
  EXPECT_EQ(thinned.features.clear.sum().item<std::int64_t>(), (clear + 3) / 4);
  const auto direction = [](const Bank& bank) { return discriminant_of(bank.features).direction; };
  EXPECT_LT(max_difference(direction(thinned), direction(whole)), 1e-4);
  save(thinned);
  EXPECT_LT(max_difference(direction(load()), direction(thinned)), 1e-12);
}

TEST_F(BankTest, AFirstDefectMakesAnotherScaleOfAnAutomaticBank) {
  options.method = Method::kAuto;
  for (const double coreset : {1.0, 0.5}) {
    options.coreset = coreset;
    BankBuilder first(backbone, options);
    first.add_normal(image(0, false));
    save(first.finish());
    EXPECT_EQ(load().scored_by(), Method::kNormalNn);
    BankBuilder second(backbone, load());
    second.add_abnormal(image(7, true), defect_mask());
    const Bank added = second.finish();
    EXPECT_EQ(added.scored_by(), Method::kDiscriminant);
    // What good pictures scored before says nothing of raw scores.
    EXPECT_FALSE(added.probe_scores.defined());
    const ColourScale scale = reference_scale(Detector(backbone, added));
    EXPECT_GT(scale.good, 1);
    EXPECT_GT(scale.high, scale.good);
  }
}

TEST_F(BankTest, DefectsWithoutMasksGetDerivedOnes) {
  options.method = Method::kBothNn;
  references.abnormal[0].masks.clear();
  cv::Mat mask, map;
  BankObserver observer;
  observer.derived = [&](const Image&, const DerivedMask& derived) {
    mask = derived.mask;
    map = derived.map;
  };
  const Bank bank = make_bank(backbone, references, options, {}, 1, observer);
  ASSERT_EQ(mask.size(), cv::Size(160, 120));
  EXPECT_EQ(map.size(), mask.size());
  cv::Mat common = mask & defect_mask();
  EXPECT_GT(cv::countNonZero(common), 0.8 * cv::countNonZero(defect_mask()));
  EXPECT_LT(cv::countNonZero(mask), 4 * cv::countNonZero(defect_mask()));
  options.method = Method::kDiscriminant;  // what such a mask marks is not surely a defect
  const Bank by_discriminant = make_bank(backbone, references, options);
  EXPECT_EQ(by_discriminant.features.drawn_count(), 0);
  EXPECT_TRUE(by_discriminant.features.clear.any().item<bool>());
  EXPECT_EQ(by_discriminant.features.surroundings.size(0),
            by_discriminant.features.clear.sum().item<std::int64_t>());
  const Detector own(backbone, bank);
  EXPECT_GT(own.detect(query(21, true)).image_score, own.detect(query(20, false)).image_score);
  // Of a thinned bank with a region of interest too; here the defect lies in it.
  options.method = Method::kAuto;
  options.coreset = 0.3;
  options.turns = 4;
  references.roi = 255 - left_half();
  cv::Mat inside;
  BankObserver limited;
  limited.derived = [&](const Image&, const DerivedMask& derived) { inside = derived.mask; };
  EXPECT_EQ(make_bank(backbone, references, options, {}, 1, limited).abnormal.size(), 1U);
  EXPECT_EQ(cv::countNonZero(inside.colRange(0, 76)), 0);
  EXPECT_GT(cv::countNonZero(inside & defect_mask()), 0);
  references.normal.clear();
  EXPECT_THROW(make_bank(backbone, references, options), ConfigError);
}

}  // namespace
}  // namespace nagl
