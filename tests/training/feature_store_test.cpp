#include "nagl/training/feature_store.h"

#include <ATen/Parallel.h>
#include <unistd.h>

#include <cmath>
#include <fstream>
#include <functional>
#include <set>

#include "nagl/core/error.h"
#include "tensors.h"

namespace nagl {
namespace {

using testing::max_difference;
using testing::message_of;
using testing::slurp;
using testing::spill;
using testing::TemporaryFolder;

/// 27 pixels, which do not fill four bytes.
FeatureFormat odd_format(StoreType type = StoreType::kFloat16) {
  return {{3, 1}, 8, 3, type, Json{{"layer", 7}}};
}

at::Tensor random_features(std::int64_t patches, std::int64_t width, std::uint64_t seed = 1) {
  return torch::randn({patches, width}, at::make_generator<at::CPUGeneratorImpl>(seed));
}

NetworkInput input_with_mask(const FeatureFormat& format, std::uint64_t seed = 2) {
  const auto random = at::make_generator<at::CPUGeneratorImpl>(seed);
  NetworkInput input;
  input.network_mask =
      torch::rand({format.height(), format.image_width()}, random).lt(0.5).to(at::kByte);
  input.patch_mask = torch::rand({format.grid.size()}, random).lt(0.5);
  return input;
}

const SourcePicture kGood{"screw", "", "good.png", {}};
const SourcePicture kCrack{"screw", "crack", "crack.png", {"crack_mask.png"}};

TEST(FeatureStore, GivesBackWhatWasPut) {
  for (const auto type : {StoreType::kFloat16, StoreType::kFloat32}) {
    for (const PatchGrid grid : {PatchGrid{3, 1}, PatchGrid{4, 4}, PatchGrid{5, 3}}) {
      const TemporaryFolder folder;
      FeatureFormat format = odd_format(type);
      format.grid = grid;
      FeatureStore store(folder.path(), format);
      const auto features = random_features(grid.size(), 8);
      const auto input = input_with_mask(format);
      store.put("good", kGood, features, {});
      store.put("crack", kCrack, features.to(at::kDouble) * 2, input);

      FeatureStore again(folder.path(), format);
      ASSERT_TRUE(again.check("good") && again.check("crack"));
      EXPECT_FALSE(again.check("another"));
      for (const FeatureStore* reader : {&store, &again}) {
        const auto stored = type == StoreType::kFloat16 ? at::kHalf : at::kFloat;
        const auto good = reader->get("good");
        EXPECT_EQ(good.features.scalar_type(), stored);
        EXPECT_TRUE(good.features.equal(features.to(stored)));
        EXPECT_FALSE(good.patch_mask.defined());
        EXPECT_TRUE(reader->network_mask(good).equal(
            at::zeros({format.height(), format.image_width()}, at::kByte)));
        const auto crack = reader->get("crack");
        EXPECT_TRUE(crack.features.equal((features * 2).to(stored)));
        EXPECT_TRUE(crack.patch_mask.equal(input.patch_mask));
        EXPECT_TRUE(reader->network_mask(crack).equal(input.network_mask));
      }
      EXPECT_LE(std::filesystem::file_size(store.path_of("crack")), store.entry_bytes());
    }
  }
}

TEST(FeatureStore, AnEntryOutlivesItsStore) {
  const TemporaryFolder folder;
  const auto features = random_features(3, 8);
  StoredPicture picture;
  {
    FeatureStore store(folder.path(), odd_format(StoreType::kFloat32));
    store.put("key", kGood, features, {});
    picture = store.get("key");
    std::filesystem::remove(store.path_of("key"));
  }
  EXPECT_TRUE(picture.features.equal(features));
}

TEST(FeatureStore, TheKeyDependsOnAllThatFeaturesDependOn) {
  const TemporaryFolder folder;
  spill(folder / "a.png", "picture");
  spill(folder / "m.png", "mask");
  const SourcePicture picture{"screw", "crack", folder / "a.png", {folder / "m.png"}};
  std::set<std::string> keys;
  const auto key = [&](const SourcePicture& of, const FeatureFormat& format) {
    return FeatureStore(folder.path(), format).key_of(of);
  };
  const auto expect_new = [&](const SourcePicture& of, const FeatureFormat& format,
                              const char* what) {
    EXPECT_TRUE(keys.insert(key(of, format)).second) << what;
  };
  const auto format = odd_format();
  const auto first = key(picture, format);
  keys.insert(first);
  EXPECT_EQ(first.size(), 64U);

  // The same content elsewhere, in another store, is the same entry.
  spill(folder / "deep/b.png", "picture");
  spill(folder / "deep/n.png", "mask");
  EXPECT_EQ(FeatureStore(folder / "other", format)
                .key_of({"screw", "crack", folder / "deep/b.png", {folder / "deep/n.png"}}),
            first);

  auto other = picture;
  other.category = "nut";
  expect_new(other, format, "category");
  other = picture;
  other.defect = "stain";
  expect_new(other, format, "defect type");
  other = picture;
  other.masks.clear();
  expect_new(other, format, "no mask");
  auto changed = format;
  changed.grid = {1, 3};
  expect_new(picture, changed, "grid");
  changed = format;
  changed.width = 16;
  expect_new(picture, changed, "width");
  changed = format;
  changed.patch = 4;
  expect_new(picture, changed, "patch");
  changed = format;
  changed.type = StoreType::kFloat32;
  expect_new(picture, changed, "type");
  changed = format;
  changed.recipe["layer"] = 8;
  expect_new(picture, changed, "recipe");
  spill(folder / "m.png", "mAsk");
  expect_new(picture, format, "the mask's bytes");
  spill(folder / "a.png", "pictUre");
  expect_new(picture, format, "the picture's bytes");

  std::filesystem::remove(folder / "m.png");
  EXPECT_NE(message_of<DataError>([&] { key(picture, format); }).find("m.png"), std::string::npos);
}

TEST(FeatureStore, FindsEveryDamage) {
  const TemporaryFolder folder;
  const auto format = odd_format();
  FeatureStore store(folder.path(), format);
  const auto features = random_features(3, 8).to(at::kHalf);
  const auto input = input_with_mask(format);
  store.put("key", kCrack, features, input);
  const auto path = store.path_of("key");
  const auto whole = slurp(path);
  // What is found undamaged must give what was put: a byte of the header may say nothing of it.
  std::size_t found = 0;
  for (std::size_t i = 0; i < whole.size(); ++i) {
    auto bytes = whole;
    bytes[i] = static_cast<char>(bytes[i] ^ 1);
    spill(path, bytes);
    FeatureStore fresh(folder.path(), format);
    if (!fresh.check("key")) {
      ++found;
      continue;
    }
    const auto picture = fresh.get("key");
    EXPECT_TRUE(picture.features.equal(features)) << i;
    ASSERT_TRUE(picture.patch_mask.defined()) << i;
    EXPECT_TRUE(picture.patch_mask.equal(input.patch_mask)) << i;
    EXPECT_TRUE(fresh.network_mask(picture).equal(input.network_mask)) << i;
  }
  const std::size_t data = 3 * 8 * 2 + 3 + 4;  // features, patch mask, 27 bits
  EXPECT_GT(found, data + 64 + 200);           // the checksum, and most of the header
  for (std::size_t length = 0; length < whole.size(); ++length) {
    spill(path, whole.substr(0, length));
    EXPECT_FALSE(FeatureStore(folder.path(), format).check("key")) << length;
  }
  for (const std::string& bytes : {whole + "x", std::string("garbage"), std::string(5000, '{')}) {
    spill(path, bytes);
    EXPECT_FALSE(FeatureStore(folder.path(), format).check("key"));
  }
  spill(path, whole);
  EXPECT_TRUE(FeatureStore(folder.path(), format).check("key"));
  // An entry of another format, under this name.
  auto other = format;
  other.width = 4;
  EXPECT_FALSE(FeatureStore(folder.path(), other).check("key"));
}

TEST(FeatureStore, WhatWasNotFoundCannotBeRead) {
  const TemporaryFolder folder;
  FeatureStore store(folder.path(), odd_format());
  EXPECT_FALSE(store.check("key"));
  const auto message = message_of<DataError>([&] { store.get("key"); });
  EXPECT_NE(message.find(store.path_of("key").string()), std::string::npos) << message;
}

TEST(FeatureStore, NoticesAFileThatChangesLater) {
  const TemporaryFolder folder;
  FeatureStore store(folder.path(), odd_format());
  store.put("key", kGood, random_features(3, 8), {});
  const auto path = store.path_of("key");
  const auto whole = slurp(path);
  const auto refused = [&] {
    const auto message = message_of<DataError>([&] { store.get("key"); });
    EXPECT_NE(message.find(path.string()), std::string::npos) << message;
  };
  std::filesystem::resize_file(path, whole.size() - 1);
  refused();
  std::filesystem::resize_file(path, 0);
  refused();
  spill(path, whole + "x");
  refused();
  std::filesystem::remove(path);
  refused();
  spill(path, whole);
  EXPECT_NO_THROW(store.get("key"));
}

TEST(FeatureStore, RefusesFeaturesThatItsTypeCannotHold) {
  const TemporaryFolder folder;
  FeatureStore half(folder / "half", odd_format());
  FeatureStore full(folder / "full", odd_format(StoreType::kFloat32));
  auto features = random_features(3, 8);
  features[1][4] = 1e5F;  // above the largest float16, 65504
  const auto message = message_of<ModelError>([&] { half.put("key", kGood, features, {}); });
  EXPECT_NE(message.find("good.png"), std::string::npos) << message;
  EXPECT_NE(message.find("store.type=float32"), std::string::npos) << message;
  EXPECT_FALSE(half.check("key"));
  full.put("key", kGood, features, {});
  EXPECT_TRUE(full.get("key").features.equal(features));
  for (const double value : {std::nan(""), HUGE_VAL, -HUGE_VAL}) {
    features[1][4] = value;
    EXPECT_THROW(full.put("other", kGood, features, {}), ModelError) << value;
  }
  EXPECT_FALSE(full.check("other"));
}

/// Pages of this process in memory, in bytes.
std::uint64_t resident() {
  std::ifstream file("/proc/self/statm");
  std::uint64_t total = 0, pages = 0;
  file >> total >> pages;
  return pages * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

/// How much more memory `visit(i)` takes for `many` entries than for `few`.
double growth_of(const std::function<void(int)>& visit, int few = 1000, int many = 10000) {
  for (int i = 0; i < few; ++i) visit(i);
  const auto before = static_cast<double>(resident());
  for (int i = few; i < many; ++i) visit(i);
  return static_cast<double>(resident()) - before;
}

TEST(FeatureStore, MemoryDoesNotGrowWithTheStore) {
  // 9000 more entries hold 18 MB of features, or 36 MB of mapped pages; to know where they lie
  // takes some 300 bytes each, 3 MB.
  constexpr double kLimit = 6e6;
  const TemporaryFolder folder;
  const FeatureFormat format{{4, 4}, 64, 2, StoreType::kFloat16, {}};
  const auto key = [](int i) {
    return std::to_string(i % 90 + 10) + "-" + std::to_string(i) + std::string(50, 'x');
  };
  const auto features = random_features(16, 64);
  // As a build does: look for all, then put all.
  FeatureStore writer(folder.path(), format);
  EXPECT_LT(growth_of([&](int i) { ASSERT_FALSE(writer.check(key(i))); }), kLimit);
  EXPECT_LT(
      growth_of([&](int i) { writer.put(key(i), kCrack, features + i, input_with_mask(format)); }),
      kLimit);
  FeatureStore reader(folder.path(), format);
  EXPECT_LT(growth_of([&](int i) { ASSERT_TRUE(reader.check(key(i))); }), kLimit);
  int read = 0;
  EXPECT_LT(growth_of([&](int i) {
              const auto picture = reader.get(key(i));
              const auto first = (features[0][0] + i).to(at::kHalf);
              read += picture.features[0][0].equal(first) &&
                      reader.network_mask(picture).sum().item<int>() > 0;
            }),
            kLimit);
  EXPECT_EQ(read, 10000);
}

TEST(FeatureStore, LargeEntriesLeaveNoHolesInTheHeap) {
  // As a build with a backbone of usual size does. 400 entries hold 315 MB; 214 MB stayed
  // when what an entry leaves behind lay among the tensors that were freed.
  at::set_num_threads(1);  // threads that wait for each other are slow on a busy machine
  const TemporaryFolder folder;
  const FeatureFormat format{{32, 32}, 384, 1, StoreType::kFloat16, {}};
  FeatureStore store(folder.path(), format);
  std::vector<std::string> keys;
  for (int i = 0; i < 450; ++i) {
    // Of many lengths, so that it is not for luck that their places fit where others were freed.
    keys.push_back(std::to_string(100 + i).append(static_cast<std::size_t>(60 + i % 50), 'x'));
    ASSERT_FALSE(store.check(keys.back()));
  }
  const auto features = random_features(1024, 384);
  const auto put = [&](int i) {
    const auto& name = keys[static_cast<std::size_t>(i)];
    store.put(name, kGood, features, {});
    std::filesystem::resize_file(store.path_of(name), 0);  // frees the disk
  };
  EXPECT_LT(growth_of(put, 50, 450), 3e7);
}

/// A backbone of random weights: width 64, patches of 4 pixels, one block.
Backbone tiny_backbone(const std::filesystem::path& folder, double scale = 0.1) {
  VisionTransformerOptions options;
  options.width = 64;
  options.depth = 1;
  options.hidden = 64;
  options.grid = 2;
  options.patch = 4;
  VisionTransformer network(options);
  const torch::NoGradGuard no_grad;
  const auto random = at::make_generator<at::CPUGeneratorImpl>(7);
  for (auto& parameter : network->parameters()) parameter.normal_(0, scale, random);
  write_weights(folder / "backbone.safetensors", state_of(*network), {});
  return {folder / "backbone.safetensors", {}};
}

/// Ten pictures, of which every third has a defect, and a store for their features.
class BuildTest : public ::testing::Test {
 protected:
  BuildTest() : backbone_(tiny_backbone(folder_.path())) {
    for (int i = 0; i < 10; ++i) {
      const auto name = std::to_string(i);
      spill(folder_ / (name + ".png"), "picture " + name);
      SourcePicture picture{"part", "", folder_ / (name + ".png"), {}};
      if (i % 3 == 2) {
        spill(folder_ / (name + "_mask.png"), "mask " + name);
        picture.defect = "crack";
        picture.masks = {folder_ / (name + "_mask.png")};
      }
      pictures_.push_back(picture);
    }
  }

  FeatureStore store() const { return {folder_ / "features", format_}; }

  /// What the network takes of a picture: a pure function of its file.
  NetworkInput input_of(const SourcePicture& picture) const {
    const auto seed = static_cast<std::uint64_t>(std::hash<std::string>{}(slurp(picture.path)));
    NetworkInput input;
    if (!picture.masks.empty()) input = input_with_mask(format_, seed);
    input.pixels = torch::randn({3, format_.height(), format_.image_width()},
                                at::make_generator<at::CPUGeneratorImpl>(seed));
    return input;
  }

  std::vector<std::string> build(FeatureStore& store, const StoreBuildObserver& observer = {}) {
    loaded_.clear();
    return build_feature_store(
        store, pictures_, backbone_, 3,
        [this](const SourcePicture& picture) {
          loaded_.push_back(picture.path.stem().string());
          return input_of(picture);
        },
        observer);
  }

  const TemporaryFolder folder_;
  const FeatureFormat format_{{2, 3}, 64, 4, StoreType::kFloat32, Json{{"layer", 0}}};
  const Backbone backbone_;
  std::vector<SourcePicture> pictures_;
  std::vector<std::string> loaded_;
};

TEST_F(BuildTest, EncodesEveryPictureOnce) {
  auto first = store();
  std::int64_t missing = -1;
  std::uint64_t bytes = 0;
  std::vector<std::int64_t> encoded;
  StoreBuildObserver observer;
  observer.forecast = [&](std::int64_t count, std::uint64_t size) {
    missing = count;
    bytes = size;
  };
  observer.encoded = [&](std::int64_t done, std::int64_t total) {
    EXPECT_EQ(total, 10);
    encoded.push_back(done);
  };
  const auto keys = build(first, observer);
  EXPECT_EQ(missing, 10);
  EXPECT_EQ(bytes, 10 * first.entry_bytes());
  EXPECT_EQ(encoded, (std::vector<std::int64_t>{3, 6, 9, 10}));
  EXPECT_EQ(loaded_.size(), 10U);
  ASSERT_EQ(keys.size(), 10U);
  for (std::size_t i = 0; i < 10; ++i) {
    EXPECT_EQ(keys[i], first.key_of(pictures_[i]));
    const auto input = input_of(pictures_[i]);
    const auto stored = first.get(keys[i]);
    EXPECT_LT(max_difference(stored.features, backbone_.encode(input.pixels.unsqueeze(0))[0]),
              1e-5);
    ASSERT_EQ(stored.patch_mask.defined(), pictures_[i].anomalous());
    if (!pictures_[i].anomalous()) continue;
    EXPECT_TRUE(stored.patch_mask.equal(input.patch_mask));
    EXPECT_TRUE(first.network_mask(stored).equal(input.network_mask));
  }
  auto second = store();
  EXPECT_EQ(build(second, observer), keys);
  EXPECT_EQ(missing, 0);
  EXPECT_TRUE(loaded_.empty());
  EXPECT_TRUE(second.get(keys[2]).features.equal(first.get(keys[2]).features));
}

TEST_F(BuildTest, MakesDamagedEntriesAnew) {
  auto first = store();
  const auto keys = build(first);
  const auto path = first.path_of(keys[4]);
  const auto whole = slurp(path);
  auto flipped = whole;
  flipped.back() = static_cast<char>(flipped.back() ^ 1);
  for (const auto& damaged : {flipped, whole.substr(0, whole.size() / 2), std::string(),
                              std::string("this is no entry at all")}) {
    spill(path, damaged);
    auto next = store();
    EXPECT_EQ(build(next), keys);
    EXPECT_EQ(loaded_, std::vector<std::string>{"4"});
    EXPECT_TRUE(next.check(keys[4]));
    EXPECT_LT(max_difference(next.get(keys[4]).features,
                             backbone_.encode(input_of(pictures_[4]).pixels.unsqueeze(0))[0]),
              1e-5);
  }
}

TEST_F(BuildTest, GoesOnWhereItWasStopped) {
  StoreBuildObserver observer;
  std::int64_t done = 0;
  observer.encoded = [&](std::int64_t count, std::int64_t) { done = count; };
  observer.stop = [&] { return done >= 6; };
  auto first = store();
  EXPECT_TRUE(build(first, observer).empty());
  EXPECT_EQ(loaded_.size(), 6U);
  auto second = store();
  EXPECT_EQ(build(second).size(), 10U);
  EXPECT_EQ(loaded_, (std::vector<std::string>{"6", "7", "8", "9"}));

  // It can be stopped while it looks at what is there, too.
  observer = {};
  std::int64_t looked_at = 0;
  observer.checked = [&](std::int64_t count, std::int64_t) { looked_at = count; };
  observer.stop = [&] { return looked_at >= 2; };
  auto third = store();
  EXPECT_TRUE(build(third, observer).empty());
  EXPECT_EQ(looked_at, 2);
}

TEST_F(BuildTest, KeepsWhatWasEncodedBeforeABadPicture) {
  auto first = store();
  const auto load = [&](const SourcePicture& picture) {
    if (picture.path.stem() == "7") throw DataError("7.png is broken");
    return input_of(picture);
  };
  EXPECT_EQ(
      message_of<DataError>([&] { build_feature_store(first, pictures_, backbone_, 3, load); }),
      "7.png is broken");
  auto second = store();
  EXPECT_EQ(build(second).size(), 10U);
  EXPECT_EQ(loaded_, (std::vector<std::string>{"6", "7", "8", "9"}));
}

TEST_F(BuildTest, RefusesADiskWithTooLittleRoom) {
  // A grid whose features would take 10^18 bytes; nothing of that size is ever made.
  FeatureFormat huge = format_;
  huge.grid = {std::int64_t{1} << 30, std::int64_t{1} << 22};
  FeatureStore large(folder_ / "large", huge);
  std::uint64_t bytes = 0;
  StoreBuildObserver observer;
  observer.forecast = [&](std::int64_t, std::uint64_t size) { bytes = size; };
  pictures_.resize(1);
  const auto message = message_of<DataError>([&] { build(large, observer); });
  EXPECT_NE(message.find("features of 1 pictures need"), std::string::npos) << message;
  EXPECT_NE(message.find((folder_ / "large").string()), std::string::npos) << message;
  EXPECT_TRUE(loaded_.empty());
  EXPECT_GT(bytes, std::uint64_t{1'000'000'000'000'000'000});
}

TEST(StoreType, IsReadByName) {
  StoreType type = StoreType::kFloat16;
  parse("float32", type);
  EXPECT_EQ(type, StoreType::kFloat32);
  parse(to_string(StoreType::kFloat16), type);
  EXPECT_EQ(type, StoreType::kFloat16);
  EXPECT_THROW(parse("half", type), ConfigError);
}

}  // namespace
}  // namespace nagl
