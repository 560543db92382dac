#include "nagl/model/trained_head.h"

#include <cmath>

#include "nagl/core/error.h"
#include "tensors.h"

namespace nagl {
namespace {

using testing::message_of;
using testing::TemporaryFolder;

using Tensors = std::map<std::string, at::Tensor>;
using Metadata = std::map<std::string, std::string>;

NaglHeadOptions small() {
  NaglHeadOptions options;
  options.width = 12;
  options.heads = 3;
  options.proxies = 5;
  options.residual_metric = ResidualMetric::kCosine;
  return options;
}

HeadOrigin origin() { return {"a backbone from somewhere", "0123456789abcdef0123", 7, 12}; }

Tensors tensors_of(const NaglHeadOptions& options) {
  NaglHead head(options);
  head->initialize(3);
  Tensors tensors;
  for (const auto& [name, tensor] : state_of(*head)) tensors[name] = tensor.clone();
  return tensors;
}

TEST(TrainedHead, IsReadAsItWasWritten) {
  const TemporaryFolder folder;
  const auto path = folder / "model.safetensors";
  auto metadata = head_metadata(small(), origin());
  metadata["note"] = "kept";
  const auto tensors = tensors_of(small());
  write_weights(path, tensors, metadata);

  const auto trained = load_head(path, at::kCPU);
  EXPECT_EQ(trained.path, path);
  EXPECT_EQ(trained.metadata, metadata);
  EXPECT_EQ(trained.head->options(), small());
  EXPECT_EQ(trained.origin.backbone, origin().backbone);
  EXPECT_EQ(trained.origin.backbone_checksum, origin().backbone_checksum);
  EXPECT_EQ(trained.origin.layer, 7);
  EXPECT_EQ(trained.origin.width, 12);
  EXPECT_NO_THROW(trained.origin.check_equals(origin(), path));
  const auto loaded = state_of(*trained.head);
  ASSERT_EQ(loaded.size(), tensors.size());
  for (const auto& [name, tensor] : tensors) EXPECT_TRUE(loaded.at(name).equal(tensor)) << name;
  for (const auto& parameter : trained.head->parameters()) EXPECT_FALSE(parameter.requires_grad());
  EXPECT_FALSE(trained.head->is_training());
}

TEST(TrainedHead, ItsChecksumIsThatOfAFileOfItAlone) {
  const TemporaryFolder folder;
  const auto tensors = tensors_of(small());
  const auto metadata = head_metadata(small(), origin());
  write_weights(folder / "model.safetensors", tensors, metadata);
  const auto expected = WeightsFile(folder / "model.safetensors").checksum();
  EXPECT_EQ(load_head(folder / "model.safetensors", at::kCPU).checksum, expected);

  std::map<std::string, at::Tensor> more = {{"other", at::ones({2})}};
  for (const auto& [name, tensor] : tensors) more["head." + name] = tensor;
  write_weights(folder / "more.safetensors", more, metadata);
  const auto within = read_head(WeightsFile(folder / "more.safetensors"), "head.", at::kCPU);
  EXPECT_EQ(within.checksum, expected);
  more["head.afl_ca.norm.weight"] = at::ones({12}) * 2;
  write_weights(folder / "more.safetensors", more, metadata);
  EXPECT_NE(read_head(WeightsFile(folder / "more.safetensors"), "head.", at::kCPU).checksum,
            expected);
}

TEST(TrainedHead, IsItselfWhereItIsThereAlready) {
  const TemporaryFolder folder;
  write_weights(folder / "model.safetensors", tensors_of(small()),
                head_metadata(small(), origin()));
  const auto trained = load_head(folder / "model.safetensors", at::kCPU);
  const auto same = trained.on(at::kCPU);
  EXPECT_EQ(same.head.get(), trained.head.get());
  EXPECT_EQ(same.checksum, trained.checksum);
  EXPECT_EQ(same.path, trained.path);
}

TEST(TrainedHead, RefusesFilesThatAreNone) {
  const TemporaryFolder folder;
  const auto path = folder / "model.safetensors";
  const auto refused = [&](auto&& change, const std::string& because) {
    auto tensors = tensors_of(small());
    auto metadata = head_metadata(small(), origin());
    change(tensors, metadata);
    write_weights(path, tensors, metadata);
    const auto message = message_of<ModelError>([&] { load_head(path, at::kCPU); });
    EXPECT_NE(message.find(path.string()), std::string::npos) << message;
    EXPECT_NE(message.find(because), std::string::npos) << message;
  };
  refused([](Tensors&, Metadata& m) { m["kind"] = "nagl checkpoint"; },
          "its kind is 'nagl checkpoint'");
  refused([](Tensors&, Metadata& m) { m.erase("kind"); }, "its kind is 'unknown'");
  refused([](Tensors&, Metadata& m) { m.erase("layer"); }, "no valid 'layer'");
  refused([](Tensors&, Metadata& m) { m["layer"] = "7th"; }, "no valid 'layer'");
  refused([](Tensors&, Metadata& m) { m["width"] = "-12"; }, "no valid 'width'");
  refused([](Tensors&, Metadata& m) { m["width"] = "16"; }, "does not fit its width 16");
  refused([](Tensors&, Metadata& m) { m.erase("heads"); }, "no valid 'heads'");
  refused([](Tensors&, Metadata& m) { m["heads"] = "5"; }, "head.heads 5");
  refused([](Tensors&, Metadata& m) { m["heads"] = "0"; }, "head.heads 0");
  refused([](Tensors&, Metadata& m) { m["residual_metric"] = "angle"; }, "'angle'");
  refused([](Tensors& t, Metadata&) { t.erase("rm_sa.norm.bias"); },
          "'rm_sa.norm.bias' is missing");
  refused([](Tensors& t, Metadata&) { t.erase("learnable_proxies.weight"); },
          "'learnable_proxies.weight' is missing");
  refused([](Tensors& t, Metadata&) { t["module.x"] = at::zeros({1}); }, "'module.x' is surplus");
  refused([](Tensors& t, Metadata&) { t["afl_ca.norm.weight"] = at::zeros({13}); },
          "'afl_ca.norm.weight'");
  refused([](Tensors& t, Metadata&) { t["afl_ca.norm.weight"][2] = NAN; }, "not finite");
  EXPECT_THROW(load_head(folder / "absent.safetensors", at::kCPU), ModelError);
}

TEST(HeadOrigin, NamesBothSidesWhereTheyDiffer) {
  const auto refused = [](auto&& change, const std::string& theirs) {
    auto other = origin();
    change(other);
    const auto message =
        message_of<ModelError>([&] { origin().check_equals(other, "model.safetensors"); });
    for (const std::string& part :
         {std::string("model.safetensors"),
          std::string("a backbone from somewhere (checksum 0123456789ab), layer 7, width 12"),
          theirs}) {
      EXPECT_NE(message.find(part), std::string::npos) << message;
    }
  };
  refused([](HeadOrigin& o) { o.layer = 11; }, "layer 11, width 12");
  refused([](HeadOrigin& o) { o.width = 384; }, "layer 7, width 384");
  refused(
      [](HeadOrigin& o) {
        o.backbone = "its sister";
        o.backbone_checksum = "ffff";
      },
      "its sister (checksum ffff), layer 7");
  // A converted checkpoint knows no checksum: then the layer and the width must do.
  auto unknown = origin();
  unknown.backbone_checksum.clear();
  EXPECT_NO_THROW(unknown.check_equals(origin(), "f"));
  EXPECT_NO_THROW(origin().check_equals(unknown, "f"));
  unknown.layer = 8;
  EXPECT_NE(message_of<ModelError>([&] {
              unknown.check_equals(origin(), "f");
            }).find("(checksum not known), layer 8"),
            std::string::npos);
}

}  // namespace
}  // namespace nagl
