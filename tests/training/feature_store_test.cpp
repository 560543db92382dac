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

PictureMasks random_masks(const FeatureFormat& format, std::uint64_t seed = 2) {
  const auto random = at::make_generator<at::CPUGeneratorImpl>(seed);
  PictureMasks masks;
  masks.network =
      torch::rand({format.height(), format.image_width()}, random).lt(0.5).to(at::kByte);
  masks.patches = torch::rand({format.grid.size()}, random).lt(0.5);
  return masks;
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
      const auto masks = random_masks(format);
      store.put("good", kGood, features, {});
      store.put("crack", kCrack, features.to(at::kDouble) * 2, masks);

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
        EXPECT_TRUE(crack.patch_mask.equal(masks.patches));
        EXPECT_TRUE(reader->network_mask(crack).equal(masks.network));
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
  const auto masks = random_masks(format);
  store.put("key", kCrack, features, masks);
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
    EXPECT_TRUE(picture.patch_mask.equal(masks.patches)) << i;
    EXPECT_TRUE(fresh.network_mask(picture).equal(masks.network)) << i;
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
      growth_of([&](int i) { writer.put(key(i), kCrack, features + i, random_masks(format)); }),
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
