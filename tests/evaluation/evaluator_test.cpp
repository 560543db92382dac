#include "nagl/evaluation/evaluator.h"

#include <nlohmann/json.hpp>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include "nagl/core/error.h"
#include "nagl/dataset/synthetic.h"
#include "nagl/detection/bank_builder.h"
#include "nagl/metrics/pixel_metrics.h"
#include "tensors.h"

namespace nagl {
namespace {

namespace fs = std::filesystem;
using testing::message_of;
using testing::spill;
using testing::TemporaryFolder;

const MetricValue& value(const EvaluationRow& row, Metric metric) {
  return row.metrics[static_cast<std::size_t>(metric)];
}

/// Evaluates small synthetic pictures.
class EvaluatorTest : public ::testing::Test {
 protected:
  void SetUp() override {
    NAGL_NEEDS_BACKBONE(weights);
    BackboneOptions backbone_options;
    backbone_options.layer = 7;
    backbone = std::make_shared<Backbone>(weights, backbone_options);
    SyntheticOptions synthetic;
    synthetic.size = 80;
    synthetic.train_good = 4;
    synthetic.test_good = 4;
    synthetic.test_defect = 2;
    write_synthetic_dataset(folder.path(), synthetic);
    category = read_dataset(folder / "products/board").categories.at(0);
    detection.encoding.image_size = {112, 112};
    options.seeds = 1;
    options.methods = {Method::kNormalNn, Method::kAbnormalNn, Method::kBothNn,
                       Method::kDiscriminant, Method::kAuto};
  }

  TrainedHead untrained_head() const {
    TrainedHead head;
    head.head = NaglHead(NaglHeadOptions());
    head.head->initialize(1);
    head.origin = origin_of(*backbone);
    return head;
  }
  CategoryResult evaluate(std::optional<TrainedHead> head = {}, const fs::path& roi = {}) const {
    return *Evaluator(backbone, std::move(head), detection, options, 1, roi)
                .evaluate(category, nullptr, {});
  }

  /// Expects the figures of detectors whose banks are made of the same references.
  void expect_what_detectors_give(const CategoryResult& result, const cv::Mat& roi = {}) const {
    ASSERT_EQ(result.rows.size(), options.methods.size());
    const ReferenceDraw& references = result.references.at(0);
    BankPictures paths;
    paths.normal = references.normal;
    if (detection.encoding.tiling.tile == 0) paths.roi = roi;
    for (const auto& [type, abnormal] : references.abnormal) {
      for (const auto& path : abnormal) {
        paths.abnormal.push_back({path, sample_at(category, path).masks});
      }
    }
    for (const auto& row : result.rows) {
      BankOptions own = detection;
      own.method = row.method;
      own.turns = options.turns_of(row.method, row.normal_shots);
      const Detector detector(backbone, make_bank(backbone, paths, own));
      std::vector<double> scores;
      std::vector<std::uint8_t> labels;
      PixelMetrics pixels;
      for (const auto& query : row.queries) {
        const Sample& sample = sample_at(category, category.folder / query.path);
        const Image image = read_image(sample.path);
        const Detection seen = detector.detect(Query(image, roi));
        EXPECT_NEAR(query.score, seen.image_score, 1e-5);
        scores.push_back(seen.image_score);
        labels.push_back(sample.anomalous());
        const cv::Mat mask = sample.anomalous() ? read_masks_for(image, sample.masks).marks
                                                : cv::Mat::zeros(image.rgb.size(), CV_8U);
        pixels.add({seen.map.ptr<float>(), seen.map.total()},
                   {mask.ptr<std::uint8_t>(), mask.total()}, mask.rows, mask.cols);
      }
      EXPECT_EQ(row.queries.size(), category.test.size() - 1) << to_string(row.method);
      EXPECT_NEAR(*value(row, Metric::kImageAuroc).value, *auroc(scores, labels), 1e-9);
      EXPECT_NEAR(*value(row, Metric::kImageAp).value, *average_precision(scores, labels), 1e-9);
      EXPECT_NEAR(*value(row, Metric::kImageF1Max).value, best_f1(scores, labels)->f1, 1e-9);
      EXPECT_NEAR(*value(row, Metric::kPixelAuroc).value, *pixels.auroc(), 1e-4);
      EXPECT_NEAR(*value(row, Metric::kPixelAp).value, *pixels.average_precision(), 1e-4);
      EXPECT_NEAR(*value(row, Metric::kPixelF1Max).value, pixels.best_f1()->f1, 1e-4);
      EXPECT_NEAR(*value(row, Metric::kPro).value, *pixels.pro(), 1e-4);
    }
    // All references were encoded once, and every query once.
    EXPECT_EQ(result.timing.pictures, 2 + 1 + static_cast<std::int64_t>(category.test.size()) - 1);
  }

  TemporaryFolder folder;
  std::shared_ptr<const Backbone> backbone;
  Category category;
  BankOptions detection;
  EvaluationOptions options;
};

TEST_F(EvaluatorTest, GivesWhatScoringOneByOneGives) {
  options.normal_shots = {2};
  expect_what_detectors_give(evaluate());
}

TEST_F(EvaluatorTest, TilesTurnsCoresetAndRegionsOfInterestCountAsInScoring) {
  options.normal_shots = {2};
  detection.encoding.image_size = {56, 56};
  detection.encoding.tiling = {48, 0.25};
  options.turns = 4;
  detection.coreset = 0.5;
  cv::Mat roi = cv::Mat::zeros(80, 80, CV_8U);
  roi.rowRange(10, 70).setTo(255);
  write_png(folder / "roi.png", roi);
  expect_what_detectors_give(evaluate({}, folder / "roi.png"), roi);
}

TEST_F(EvaluatorTest, ReferencesCountInTheRegionOfInterestAlone) {
  options.normal_shots = {2};
  options.turns = 4;
  cv::Mat roi = cv::Mat::zeros(80, 80, CV_8U);
  roi.rowRange(10, 70).setTo(255);
  write_png(folder / "roi.png", roi);
  expect_what_detectors_give(evaluate({}, folder / "roi.png"), roi);
}

TEST_F(EvaluatorTest, BatchesChangeNothingButTheLastDigits) {
  options.normal_shots = {1, 2};
  options.seeds = 2;
  const CategoryResult alone = evaluate();
  const CategoryResult together =
      *Evaluator(backbone, {}, detection, options, 4).evaluate(category, nullptr, {});
  ASSERT_EQ(alone.rows.size(), together.rows.size());
  for (std::size_t i = 0; i < alone.rows.size(); ++i) {
    ASSERT_EQ(alone.rows[i].queries.size(), together.rows[i].queries.size());
    for (std::size_t q = 0; q < alone.rows[i].queries.size(); ++q) {
      EXPECT_EQ(alone.rows[i].queries[q].path, together.rows[i].queries[q].path);
      EXPECT_NEAR(alone.rows[i].queries[q].score, together.rows[i].queries[q].score, 1e-6);
    }
  }
  EXPECT_EQ(alone.timing.pictures, together.timing.pictures);
}

TEST_F(EvaluatorTest, AllShotsAndSeedsShareOneEncodingOfEachPicture) {
  options.normal_shots = {1, 3};
  options.abnormal_shots = {1, kOneOfEach};
  options.seeds = 2;
  options.methods.push_back(Method::kNagl);
  const CategoryResult result = evaluate(untrained_head());
  EXPECT_EQ(result.rows.size(), 2U * 2 * 2 * 6);
  EXPECT_LE(result.timing.pictures,
            static_cast<std::int64_t>(category.train.size() + category.test.size()));
  // What a setting gives does not depend on which others there are.
  options.normal_shots = {3};
  options.abnormal_shots = {kOneOfEach};
  const CategoryResult alone = evaluate(untrained_head());
  for (const auto& row : alone.rows) {
    const auto same = std::find_if(result.rows.begin(), result.rows.end(), [&](const auto& other) {
      return other.method == row.method && other.seed == row.seed && other.normal_shots == 3 &&
             other.abnormal_shots == kOneOfEach;
    });
    ASSERT_NE(same, result.rows.end());
    for (std::size_t i = 0; i < kMetricCount; ++i) {
      EXPECT_NEAR(*row.metrics[i].value, *same->metrics[i].value, 1e-6);
    }
  }
}

TEST_F(EvaluatorTest, NaglWithoutAbnormalReferencesIsNormalNn) {
  options.methods = {Method::kNormalNn, Method::kNagl};
  options.abnormal_shots = {0};
  const CategoryResult result = evaluate(untrained_head());
  ASSERT_EQ(result.rows.size(), 2U);
  for (std::size_t i = 0; i < kMetricCount; ++i) {
    EXPECT_EQ(result.rows[0].metrics[i].value, result.rows[1].metrics[i].value);
  }
}

TEST_F(EvaluatorTest, WhatCannotBeMeasuredIsAbsentWithAReason) {
  const Category whole = category;
  std::erase_if(category.test, [](const Sample& sample) { return sample.anomalous(); });
  const auto no_defects = evaluate();
  for (const auto& row : no_defects.rows) {
    for (const auto& metric : row.metrics) {
      EXPECT_FALSE(metric.value.has_value());
      EXPECT_NE(metric.reason, "");
    }
  }
  category = whole;
  for (auto& sample : category.test) sample.masks.clear();
  const auto no_masks = evaluate();
  ASSERT_EQ(no_masks.rows.size(), 5U);
  for (const auto& row : no_masks.rows) {
    if (row.method == Method::kNormalNn) {
      EXPECT_TRUE(value(row, Metric::kImageAuroc).value.has_value());
      EXPECT_EQ(value(row, Metric::kPro).reason, "no query has a mask");
    } else {
      EXPECT_EQ(value(row, Metric::kImageAuroc).reason, "no picture of a defect has a mask");
    }
  }
  // One defect type alone: `unseen` has no defect left to ask about.
  category = whole;
  std::erase_if(category.test, [&](const Sample& sample) {
    return sample.anomalous() && sample.defect != whole.defects().front();
  });
  options.protocol = Protocol::kUnseen;
  EXPECT_EQ(value(evaluate().rows.at(0), Metric::kImageAuroc).reason, "no anomalous query");
}

TEST_F(EvaluatorTest, CopiesOfReferencesAreTold) {
  EXPECT_TRUE(evaluate().warnings.empty());
  for (const auto& sample : category.train) {
    const fs::path copy =
        category.folder / "test/good" / ("copy_" + sample.path.filename().string());
    fs::copy_file(sample.path, copy);
    category.test.push_back({copy, kGood, {}});
  }
  const auto warnings = evaluate().warnings;
  ASSERT_EQ(warnings.size(), 1U);
  EXPECT_NE(warnings[0].find("copy_"), std::string::npos) << warnings[0];
}

TEST_F(EvaluatorTest, StopsWhenAsked) {
  EvaluationObserver observer;
  std::int64_t seen = 0;
  observer.picture = [&](std::int64_t done, std::int64_t) { seen = done; };
  observer.stop = [&] { return seen == 3; };
  EXPECT_FALSE(Evaluator(backbone, {}, detection, options, 1)
                   .evaluate(category, nullptr, {}, observer)
                   .has_value());
  EXPECT_EQ(seen, 3);
}

TEST_F(EvaluatorTest, ABrokenPictureIsNamed) {
  for (const char* type : {kGood, "scratch"}) {  // one is never a reference, one may be
    const auto broken = std::find_if(category.test.begin(), category.test.end(),
                                     [&](const Sample& sample) { return sample.defect == type; });
    const std::string bytes = testing::slurp(broken->path);
    spill(broken->path, "no picture");
    const std::string message = message_of<DataError>([&] { evaluate(); });
    EXPECT_NE(message.find(broken->path.string()), std::string::npos) << message;
    spill(broken->path, bytes);
  }
}

TEST_F(EvaluatorTest, DefectsWithoutAMaskAreTold) {
  options.methods = {Method::kNormalNn};
  const auto usual = evaluate();
  EXPECT_TRUE(usual.warnings.empty());
  // A picture that is no reference.
  const auto& drawn = usual.references[0].abnormal.begin()->second[0];
  const auto scratched = std::find_if(
      category.test.begin(), category.test.end(),
      [&](const Sample& sample) { return sample.anomalous() && sample.path != drawn; });
  write_png(scratched->masks[0], cv::Mat::zeros(80, 80, CV_8U));  // marks nothing
  const auto result = evaluate();
  ASSERT_EQ(result.warnings.size(), 1U);
  EXPECT_NE(result.warnings[0].find("1 defective queries"), std::string::npos);
  EXPECT_EQ(result.rows[0].anomalous, usual.rows[0].anomalous);  // its label still counts

  // By the published code's rule it is a good picture, and no reference.
  options.protocol = Protocol::kPublished;
  const auto published = evaluate();
  EXPECT_EQ(published.rows[0].anomalous + 1,
            std::count_if(category.test.begin(), category.test.end(),
                          [](const Sample& sample) { return sample.anomalous(); }));
  for (const auto& [type, paths] : published.references[0].abnormal) {
    EXPECT_EQ(std::count(paths.begin(), paths.end(), scratched->path), 0);
  }
}

TEST_F(EvaluatorTest, MasksOfOtherSizes) {
  options.methods = {Method::kNormalNn};
  const auto drawn = evaluate().references[0].abnormal.begin()->second[0];
  const auto scratched = std::find_if(
      category.test.begin(), category.test.end(),
      [&](const Sample& sample) { return sample.anomalous() && sample.path != drawn; });
  // Half as large, but of the same proportions: it is enlarged.
  cv::Mat half = cv::Mat::zeros(40, 40, CV_8U);
  half(cv::Rect(10, 10, 8, 8)).setTo(255);
  write_png(scratched->masks[0], half);
  const auto small = evaluate();
  cv::Mat whole;
  cv::resize(half, whole, {80, 80}, 0, 0, cv::INTER_NEAREST);
  write_png(scratched->masks[0], whole);
  const auto large = evaluate();
  for (std::size_t i = 0; i < kMetricCount; ++i) {
    EXPECT_EQ(small.rows[0].metrics[i].value, large.rows[0].metrics[i].value);
  }
  write_png(scratched->masks[0], cv::Mat(20, 70, CV_8U, cv::Scalar(255)));  // other proportions
  EXPECT_NE(
      message_of<DataError>([&] { evaluate(); }).find(scratched->masks[0].filename().string()),
      std::string::npos);
  // A mask that is gone: told, and left out of the pixel metrics.
  scratched->masks.clear();
  const auto without = evaluate();
  ASSERT_EQ(without.warnings.size(), 1U);
  EXPECT_NE(without.warnings[0].find(scratched->path.string()), std::string::npos);
}

TEST_F(EvaluatorTest, ResultsSurviveAsJson) {
  options.examples = 1;
  const auto result =
      *Evaluator(backbone, {}, detection, options, 1).evaluate(category, nullptr, folder / "out");
  EXPECT_EQ(result.examples.size(), 3U);  // best and worst defect, hottest good picture
  for (const auto& example : result.examples) {
    EXPECT_FALSE(read_image(folder / "out" / example.overlay).rgb.empty());
  }
  const Json json = to_json(result);
  EXPECT_EQ(to_json(category_result_from_json(json, "x.json")), json);
  EXPECT_THROW(category_result_from_json(Json::object(), "x.json"), DataError);
}

TEST_F(EvaluatorTest, RefusesOptionsThatMakeNoSense) {
  const auto refuse = [&](auto&& change) {
    EvaluationOptions bad = options;
    change(bad);
    EXPECT_THROW(Evaluator(backbone, {}, detection, bad, 1), ConfigError);
  };
  refuse([](auto& bad) { bad.methods = {}; });
  refuse([](auto& bad) { bad.methods = {Method::kNagl}; });  // no head
  refuse([](auto& bad) { bad.normal_shots = {0}; });
  refuse([](auto& bad) { bad.normal_shots = {1, 1}; });
  refuse([](auto& bad) { bad.abnormal_shots = {-2}; });
  refuse([](auto& bad) { bad.abnormal_shots = {0}; });  // abnormal_nn has nothing to look at
  refuse([](auto& bad) { bad.seeds = 0; });
  refuse([](auto& bad) { bad.pro_limit = 0; });
  TrainedHead other = untrained_head();
  other.origin.layer = 3;
  options.methods = {Method::kNagl};
  EXPECT_THROW(evaluate(other), ModelError);
}

TEST(FileName, LeadsNowhereElse) {
  EXPECT_EQ(file_name_for("metal nut"), "metal nut");
  EXPECT_NE(file_name_for("a/b"), file_name_for("a-b"));
  const std::vector<std::string> texts = {
      "../up", "/root", ".hidden", "", "a/b", "na\xC3\xAFve", std::string(300, 'x')};
  for (const auto& text : texts) {
    const fs::path name = file_name_for(text);
    EXPECT_EQ(name, name.filename());
    EXPECT_FALSE(name.string().starts_with(".") || name.empty()) << text;
    EXPECT_LT(name.string().size(), 200U);
  }
}

TEST(Summary, MeansOverCategoriesAndSpreadOverSeeds) {
  std::vector<CategoryResult> results(2);
  const double aurocs[2][2] = {{0.8, 0.9}, {0.6, 0.9}};  // category, seed
  for (std::size_t c = 0; c < 2; ++c) {
    results[c].name = c == 0 ? "a" : "b";
    for (std::uint64_t seed = 0; seed < 2; ++seed) {
      EvaluationRow row;
      row.category = results[c].name;
      row.seed = seed;
      row.normal_shots = row.abnormal_shots = 1;
      row.metrics[0].value = aurocs[c][seed];
      if (c == 0) row.metrics[1].value = 0.5;  // the other category has none
      results[c].rows.push_back(row);
    }
  }
  const auto summary = summarize(results);
  ASSERT_EQ(summary.size(), 3U);
  EXPECT_EQ(summary[0].category, "");
  // The seeds' means are 0.7 and 0.9.
  EXPECT_NEAR(*summary[0].metrics[0].mean, 0.8, 1e-12);
  EXPECT_NEAR(*summary[0].metrics[0].deviation, std::sqrt(0.02), 1e-12);
  EXPECT_EQ(summary[0].metrics[0].categories, 2);
  EXPECT_NEAR(*summary[0].metrics[1].mean, 0.5, 1e-12);
  EXPECT_EQ(summary[0].metrics[1].categories, 1);
  EXPECT_FALSE(summary[0].metrics[2].mean.has_value());
  EXPECT_EQ(summary[1].category, "a");
  EXPECT_NEAR(*summary[1].metrics[0].mean, 0.85, 1e-12);
}

/// The published code's references in the form of ours.
Json published_references(const fs::path& data, const std::string& domain_and_name) {
  const Json all = Json::parse(testing::slurp(data / "golden/references_published.json"));
  Json list = Json::array();
  for (const auto& choice : all.at(domain_and_name)) {
    Json abnormal = Json::object();
    for (const auto& [type, path] : choice.at("abnormal_by_type").items()) abnormal[type] = {path};
    for (const int shots : {1, 4}) {
      list.push_back({{"category", fs::path(domain_and_name).filename().string()},
                      {"seed", choice.at("seed")},
                      {"normal_shots", shots},
                      {"abnormal_shots", 1},
                      {"normal", choice.at("normal_" + std::to_string(shots))},
                      {"abnormal", abnormal},
                      {"good_query_type", choice.at("type_for_good_queries")}});
    }
  }
  return list;
}

/// Evaluates one category with those references.
void expect_published_figures(const std::string& place) {
  NAGL_NEEDS_TEST_DATA(data);
  NAGL_NEEDS_BACKBONE(weights);
  NAGL_NEEDS_STAND_IN(weights);
  const Category category = read_dataset(data / "data" / place).categories.at(0);
  const TemporaryFolder folder;
  spill(folder / "references.json", published_references(data, place).dump());
  const RecordedDraws references(folder / "references.json");

  BackboneOptions backbone_options;
  backbone_options.layer = 7;
  const auto backbone = std::make_shared<const Backbone>(weights, backbone_options);
  EvaluationOptions options;
  options.protocol = Protocol::kPublished;
  options.normal_shots = {1, 4};
  options.methods = {Method::kNormalNn, Method::kAbnormalNn, Method::kBothNn};
  std::optional<TrainedHead> head;
  if (place.starts_with("surface")) {  // its head was trained on the other domain
    options.methods.push_back(Method::kNagl);
    head.emplace();
    head->head = NaglHead(NaglHeadOptions());
    WeightsFile(data / "golden/head_pcb_layer7.safetensors").load_into(*head->head);
    head->origin = origin_of(*backbone);
  }
  const auto result = Evaluator(backbone, head, {}, options, 1).evaluate(category, &references, {});
  const Json expected = Json::parse(testing::slurp(data / "golden/reference_results.json"))
                            .at("rows")
                            .at(category.name);
  std::size_t compared = 0;
  for (const auto& row : summarize({*result})) {
    if (row.category.empty()) continue;
    const std::string k1 = std::to_string(row.normal_shots);
    const std::string key = row.method == Method::kNormalNn ? "normal_nn N" + k1
                            : row.method == Method::kAbnormalNn
                                ? "abnormal_nn A1"
                                : to_string(row.method) + " N" + k1 + "+A1";
    // 0.3 point, or one swapped pair of pictures in one of the three draws where that is more.
    const double pair = 100.0 / static_cast<double>(result->good * result->anomalous) / 3;
    const double tolerance = std::max(0.3, pair);
    const Metric metrics[] = {Metric::kImageAuroc, Metric::kImageAp, Metric::kPixelAuroc,
                              Metric::kPro};
    for (std::size_t i = 0; i < 4; ++i) {
      const double ours = 100 * *row.metrics[static_cast<std::size_t>(metrics[i])].mean;
      EXPECT_NEAR(ours, expected.at(key).at(i).get<double>(), tolerance)
          << key << ", " << title_of(metrics[i]);
      std::printf("%s, %s, %s: %.2f, published %.2f\n", category.name.c_str(), key.c_str(),
                  title_of(metrics[i]), ours, expected.at(key).at(i).get<double>());
      ++compared;
    }
  }
  EXPECT_EQ(compared, options.methods.size() * 2 * 4);
}

/// The published code's figures, number by number.
TEST(PublishedFigures, goldenHazelnut) { expect_published_figures("surface/hazelnut"); }

/// The same of larger categories: some minutes in all.
class PublishedCampaign : public ::testing::TestWithParam<const char*> {};

TEST_P(PublishedCampaign, slowFiguresAreReached) { expect_published_figures(GetParam()); }

INSTANTIATE_TEST_SUITE_P(Layer7, PublishedCampaign,
                         ::testing::Values("surface/magnetic_tile", "pcb/group44000",
                                           "pcb/group50600", "pcb/group77000", "pcb/group90100"),
                         [](const auto& info) { return fs::path(info.param).filename().string(); });

TEST_F(EvaluatorTest, GoodValidationPicturesGiveAThresholdOfPixels) {
  options.methods = {Method::kNormalNn};
  EXPECT_FALSE(value(evaluate().rows.at(0), Metric::kPixelF1).value);
  // Two of the good pictures to test on.
  for (int i = 0; i < 2; ++i) {
    const auto good = std::find_if(category.test.begin(), category.test.end(),
                                   [](const Sample& sample) { return !sample.anomalous(); });
    category.validation.push_back(*good);
    category.test.erase(good);
  }
  const CategoryResult result = evaluate();
  const EvaluationRow& row = result.rows.at(0);
  ASSERT_TRUE(row.pixel_cut);
  BankPictures paths;
  paths.normal = result.references.at(0).normal;
  BankOptions own = detection;
  own.method = Method::kNormalNn;
  const Detector detector(backbone, make_bank(backbone, paths, own));
  std::vector<double> pixels;
  for (const auto& sample : category.validation) {
    const cv::Mat map = detector.detect(Query(read_image(sample.path))).map;
    pixels.insert(pixels.end(), map.begin<float>(), map.end<float>());
  }
  cv::Scalar mean, deviation;
  cv::meanStdDev(pixels, mean, deviation);
  EXPECT_NEAR(*row.pixel_cut, mean[0] + 3 * deviation[0], 1e-6);
  double found = 0, above = 0, marked = 0;
  for (const auto& query : row.queries) {
    const Sample& sample = sample_at(category, category.folder / query.path);
    const Image image = read_image(sample.path);
    const cv::Mat high = detector.detect(Query(image)).map > *row.pixel_cut;
    above += cv::countNonZero(high);
    if (!sample.anomalous()) continue;
    const cv::Mat mask = read_masks_for(image, sample.masks).marks;
    marked += cv::countNonZero(mask);
    found += cv::countNonZero(mask & high);
  }
  EXPECT_NEAR(*value(row, Metric::kPixelF1).value, 2 * found / (above + marked), 1e-3);
}

TEST_F(EvaluatorTest, PartsOfSeveralViewsAreScoredByTheHighest) {
  options.methods = {Method::kNormalNn};
  EXPECT_FALSE(value(evaluate().rows.at(0), Metric::kSampleAuroc).value);
  // Two parts of each kind of picture, of two views or three.
  std::map<std::string, int> seen;
  for (auto& sample : category.test) {
    sample.part = sample.defect + (seen[sample.defect]++ % 2 == 0 ? "/1" : "/2");
  }
  const CategoryResult result = evaluate();
  const EvaluationRow& row = result.rows.at(0);
  std::map<std::string, double> highest;
  for (const auto& query : row.queries) {
    const Sample& sample = sample_at(category, category.folder / query.path);
    auto& score = highest.try_emplace(sample.part, query.score).first->second;
    score = std::max(score, query.score);
  }
  double won = 0, pairs = 0;
  for (const auto& [bad, bad_score] : highest) {
    if (bad.starts_with("good")) continue;
    for (const auto& [good, good_score] : highest) {
      if (!good.starts_with("good")) continue;
      won += bad_score > good_score ? 1 : bad_score == good_score ? 0.5 : 0;
      ++pairs;
    }
  }
  EXPECT_NEAR(*value(row, Metric::kSampleAuroc).value, won / pairs, 1e-12);
}

}  // namespace
}  // namespace nagl
