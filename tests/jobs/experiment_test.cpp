#include "nagl/jobs/experiment.h"

#include "nagl/core/error.h"
#include "support.h"

namespace nagl::jobs {
namespace {

using testing::message_of;

TEST(Experiment, NamesOfEarlierVersionsAreUnderstood) {
  ExperimentOptions experiment;
  set_options(
      experiment,
      Json{{"layer", 7},
           {"precision", "bfloat16"},
           {"pictures",
            {{"image_size", "224x448"}, {"bit_depth", 12}, {"mask_alignment", "published"}}},
           {"trainer", {{"epochs", 3}}}});
  const EncodingOptions& encoding = experiment.training.encoding;
  EXPECT_EQ(encoding.layer, 7);
  EXPECT_EQ(encoding.precision, Precision::kBFloat16);
  EXPECT_TRUE((encoding.image_size == ImageSize{224, 448}));
  EXPECT_EQ(encoding.decode.bit_depth, 12);
  EXPECT_EQ(encoding.mask_alignment, MaskAlignment::kPublished);
  EXPECT_EQ(experiment.training.trainer.epochs, 3);
}

TEST(Experiment, SettingsBuildUponEachOther) {
  ExperimentOptions experiment;
  apply_settings(experiment, {"encoding.layer=5", "pictures.image_size=112", "encoding.layer=6",
                              "evaluation.tiling.tile=448", "evaluation.methods=[\"nagl\"]"});
  EXPECT_EQ(experiment.training.encoding.layer, 6);
  EXPECT_TRUE((experiment.training.encoding.image_size == ImageSize{112, 112}));
  EXPECT_EQ(experiment.target.tiling.tile, 448);
  EXPECT_EQ(experiment.target.evaluation.methods, std::vector{Method::kNagl});
}

TEST(Experiment, WhatIsUnknownIsNamed) {
  ExperimentOptions experiment;
  const auto message_for = [&](const Json& values) {
    return message_of<ConfigError>([&] { set_options(experiment, values); });
  };
  EXPECT_NE(message_for(Json{{"pictures", {{"bit_dept", 12}}}}).find("pictures"),
            std::string::npos);
  EXPECT_NE(message_for(Json{{"encoding", {{"image_size", "x"}}}}).find("image_size"),
            std::string::npos);
  TrainOptions training;
  training.data = {"source"};
  training.encoding.tiling.tile = 100;
  EXPECT_NE(message_of<ConfigError>([&] { training.check(); }).find("tiling"), std::string::npos);
}

TEST(Experiment, OptionsSurviveAsJson) {
  ExperimentOptions experiment, read;
  experiment.training.encoding.image_size = {56, 70};
  experiment.target.evaluation.turns = 4;
  set_options(read, option_to_json(experiment));
  EXPECT_EQ(option_to_json(read), option_to_json(experiment));
}

}  // namespace
}  // namespace nagl::jobs
