#include "nagl/model/weights.h"

#include <sys/resource.h>
#include <torch/nn/modules/linear.h>

#include <cstring>
#include <iterator>
#include <optional>

#include "nagl/core/error.h"
#include "nagl/core/sha256.h"
#include "tensors.h"

namespace nagl {
namespace {

using testing::message_of;
using testing::spill;
using testing::TemporaryFolder;

/// A safetensors file with this header and this many bytes of data.
std::string file_of(const std::string& header, std::size_t data) {
  const std::uint64_t length = header.size();
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  return bytes + header + std::string(data, '\0');
}

/// The message with which a file of these bytes is refused; it must name the file.
std::string refusal(const std::string& bytes) {
  const TemporaryFolder folder;
  const auto path = folder / "broken.safetensors";
  spill(path, bytes);
  const auto message = message_of<ModelError>([&] { WeightsFile file(path); });
  EXPECT_NE(message.find("broken.safetensors"), std::string::npos) << message;
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  return message;
}

void expect_refused(const std::string& bytes, const std::string& because) {
  const auto message = refusal(bytes);
  EXPECT_NE(message.find(because), std::string::npos) << message;
}

TEST(WeightsFile, GivesBackWhatWasWritten) {
  const TemporaryFolder folder;
  const auto path = folder / "a.safetensors";
  const std::map<std::string, at::Tensor> tensors = {
      {"double", torch::randn({2, 3}, at::kDouble)},
      {"float", torch::randn({4, 5}).t()},
      {"half", torch::randn({3}).to(at::kHalf)},
      {"bfloat16", torch::randn({3}).to(at::kBFloat16)},
      {"long", torch::arange(5)},
      {"int", torch::arange(5, at::kInt)},
      {"byte", torch::arange(7, at::kByte)},
      {"bool", torch::arange(3).gt(1)},
      {"scalar", torch::tensor(2.5F)},
      {"empty", torch::zeros({0, 4})},
  };
  write_weights(path, tensors, {{"kind", "test \"quoted\""}});
  const WeightsFile file(path);
  EXPECT_EQ(file.metadata().at("kind"), "test \"quoted\"");
  EXPECT_EQ(file.entries().size(), tensors.size());
  for (const auto& [name, tensor] : tensors) {
    const auto read = file.read(name);
    EXPECT_EQ(read.scalar_type(), tensor.scalar_type()) << name;
    EXPECT_TRUE(read.equal(tensor)) << name;
  }
  EXPECT_NE(message_of<ModelError>([&] { file.read("absent"); }).find("'absent' is missing"),
            std::string::npos);
}

TEST(WeightsFile, TheChecksumIsOfNamesTypesShapesAndBytes) {
  const TemporaryFolder folder;
  const auto path = folder / "a.safetensors";
  const auto sum_of = [&](const std::map<std::string, at::Tensor>& tensors) {
    write_weights(path, tensors, {});
    const auto sum = WeightsFile(path).checksum();
    EXPECT_EQ(checksum_of(tensors), sum);
    return sum;
  };
  // The heading of each tensor, then its bytes: 2.0F is 00 00 00 40.
  const auto by_hand = Sha256()
                           .update("a\nF32\n[1, 2]\n")
                           .update(std::string("\0\0\0\x40\0\0\0\0", 8))
                           .update("b\nU8\n[]\n")
                           .update("\7")
                           .hex();
  const auto a = torch::tensor({{2.0F, 0.0F}}), b = torch::tensor(7, at::kByte);
  EXPECT_EQ(sum_of({{"a", a}, {"b", b}}), by_hand);
  write_weights(path, {{"a", a}, {"b", b}}, {{"another", "metadata"}});
  EXPECT_EQ(WeightsFile(path).checksum(), by_hand);
  EXPECT_NE(sum_of({{"a", a}, {"c", b}}), by_hand);
  EXPECT_NE(sum_of({{"a", a.t()}, {"b", b}}), by_hand);
  EXPECT_NE(sum_of({{"a", a.view(at::kInt)}, {"b", b}}), by_hand);
  EXPECT_NE(sum_of({{"a", a + 1}, {"b", b}}), by_hand);

  // Tensors are read in blocks of 65536 bytes; every byte counts, on all sides of their edges.
  for (const std::int64_t size : {0, 65535, 65536, 65537, 200000}) {
    auto large = torch::arange(size).remainder(251).to(at::kByte);
    const auto whole = sum_of({{"large", large}});
    for (const std::int64_t place : {std::int64_t{0}, std::int64_t{65535}, size - 1}) {
      if (place < 0 || place >= size) continue;
      auto changed = large.clone();
      changed[place] += 1;
      EXPECT_NE(sum_of({{"large", changed}}), whole) << size << " " << place;
    }
  }
  const WeightsFile file(path);
  std::filesystem::resize_file(path, 100000);
  EXPECT_NE(message_of<ModelError>([&] { file.checksum(); }).find("'large' cannot be read"),
            std::string::npos);
}

std::ptrdiff_t open_descriptors() {
  const std::filesystem::directory_iterator open("/proc/self/fd");
  return std::distance(begin(open), end(open));
}

TEST(WeightsFile, StaysTheFileThatWasOpened) {
  const TemporaryFolder folder;
  const auto path = folder / "a.safetensors";
  const auto open_before = open_descriptors();
  {
    write_weights(path, {{"t", torch::ones({3})}}, {});
    const WeightsFile file(path);
    const auto sum = file.checksum();
    write_weights(path, {{"t", torch::zeros({3})}}, {});  // another file takes its name
    EXPECT_TRUE(file.read("t").equal(torch::ones({3})));
    EXPECT_EQ(file.checksum(), sum);
    EXPECT_TRUE(WeightsFile(path).read("t").equal(torch::zeros({3})));
    std::optional<WeightsFile> first(path);
    const WeightsFile copy = *first;
    first.reset();
    std::filesystem::remove(path);
    EXPECT_TRUE(copy.read("t").equal(torch::zeros({3})));
    torch::nn::Linear linear(torch::nn::LinearOptions(1, 1).bias(false));
    EXPECT_THROW(copy.load_into(*linear), ModelError);
    EXPECT_EQ(open_descriptors(), open_before + 2);  // a copy shares the descriptor
  }
  for (int i = 0; i < 3; ++i) EXPECT_THROW(WeightsFile file(path), ModelError);
  EXPECT_EQ(open_descriptors(), open_before);
}

TEST(WeightsFile, RefusesEveryTruncation) {
  const TemporaryFolder folder;
  const auto path = folder / "a.safetensors";
  write_weights(path, {{"a", torch::ones({3})}, {"b", torch::ones({2, 2})}}, {{"kind", "test"}});
  const std::string whole = testing::slurp(path);
  for (std::size_t size = 0; size < whole.size(); ++size) refusal(whole.substr(0, size));
  expect_refused(whole + "x", "belong to none");
}

TEST(WeightsFile, RefusesLyingHeadersWithoutAllocating) {
  // 512 MB of address space more than now: a 10 GB allocation would throw std::bad_alloc.
  struct rlimit before {};
  getrlimit(RLIMIT_AS, &before);
  std::ifstream statm("/proc/self/statm");
  rlim_t pages = 0;
  statm >> pages;
  const struct rlimit small { pages * 4096 + (rlim_t{512} << 20), before.rlim_max };
  setrlimit(RLIMIT_AS, &small);
  std::string huge_header = file_of("{}", 0);
  const std::uint64_t claimed = 10'000'000'000;
  std::memcpy(huge_header.data(), &claimed, 8);
  expect_refused(huge_header, "10000000000");
  expect_refused(
      file_of(R"({"big":{"dtype":"F32","shape":[2500000000],"data_offsets":[0,10000000000]}})", 8),
      "'big'");
  expect_refused(file_of(R"({"big":{"dtype":"F32","shape":[2500000000],"data_offsets":[0,8]}})", 8),
                 "'big'");
  expect_refused(file_of(R"({"big":{"dtype":"F32","shape":[4294967296,4294967296],)"
                         R"("data_offsets":[0,8]}})",
                         8),
                 "'big' claims an impossible size");
  setrlimit(RLIMIT_AS, &before);
}

TEST(WeightsFile, RefusesBrokenHeaders) {
  expect_refused("", "truncated");
  expect_refused("hello world, this is text", "header claims");
  expect_refused(file_of("{\"a\":", 0), "not valid JSON");
  expect_refused(file_of("{\"\xFF\xFE\":1}", 0), "not valid JSON in UTF-8");
  expect_refused(file_of("[1, 2]", 0), "not a JSON object");
  expect_refused(file_of(R"({"__metadata__":[]})", 0), "__metadata__");
  expect_refused(file_of(R"({"__metadata__":{"a":1}})", 0), "metadata 'a'");
  refusal(file_of(std::string(100000, '['), 0));
}

TEST(WeightsFile, RefusesBrokenTensors) {
  const auto one = [](const std::string& description, std::size_t data) {
    return file_of("{\"t\":" + description + "}", data);
  };
  expect_refused(one("7", 0), "'t'");
  expect_refused(one(R"({"shape":[1],"data_offsets":[0,4]})", 4), "'t'");
  expect_refused(one(R"({"dtype":"F32","shape":[1],"data_offsets":[0]})", 4), "'t'");
  expect_refused(one(R"({"dtype":"F33","shape":[1],"data_offsets":[0,4]})", 4), "'F33'");
  expect_refused(one(R"({"dtype":"F32","shape":[-1],"data_offsets":[0,4]})", 4), "invalid shape");
  expect_refused(one(R"({"dtype":"F32","shape":[1.5],"data_offsets":[0,4]})", 4), "invalid shape");
  expect_refused(one(R"({"dtype":"F32","shape":[1],"data_offsets":[4,0]})", 4), "data_offsets");
  expect_refused(one(R"({"dtype":"F32","shape":[1],"data_offsets":[-4,0]})", 4), "data_offsets");
  expect_refused(one(R"({"dtype":"F32","shape":[1],"data_offsets":[4,8]})", 4),
                 "'t' ends at byte 8");
  expect_refused(one(R"({"dtype":"F32","shape":[2],"data_offsets":[0,4]})", 4), "need 8");
  expect_refused(one(R"({"dtype":"F32","shape":[1],"data_offsets":[4,8]})", 8),
                 "gap before tensor 't'");
  expect_refused(file_of(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                         R"("b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})",
                         12),
                 "'b' overlaps");
}

TEST(WeightsFile, NamesFilesThatCannotBeOpened) {
  const TemporaryFolder folder;
  EXPECT_NE(message_of<ModelError>([&] { WeightsFile file(folder / "absent"); }).find("absent"),
            std::string::npos);
  EXPECT_NE(message_of<ModelError>([&] { WeightsFile file(folder.path()); }).find("regular"),
            std::string::npos);
}

TEST(WeightsFile, LoadsAModuleExactlyOrNotAtAll) {
  const TemporaryFolder folder;
  const auto path = folder / "linear.safetensors";
  torch::nn::Linear linear(3, 2);
  const auto load = [&](const std::map<std::string, at::Tensor>& tensors) {
    write_weights(path, tensors, {});
    WeightsFile(path).load_into(*linear);
  };
  const auto weight = torch::randn({2, 3}), bias = torch::randn({2});
  load({{"weight", weight}, {"bias", bias.to(at::kHalf)}});
  EXPECT_TRUE(linear->weight.equal(weight));
  EXPECT_TRUE(linear->bias.equal(bias.to(at::kHalf).to(at::kFloat)));

  const auto refused = [&](const std::map<std::string, at::Tensor>& tensors) {
    return message_of<ModelError>([&] { load(tensors); });
  };
  const auto missing = refused({{"weight", weight}});
  EXPECT_NE(missing.find("'bias' is missing"), std::string::npos) << missing;
  const auto surplus = refused({{"weight", weight}, {"bias", bias}, {"extra", bias}});
  EXPECT_NE(surplus.find("'extra' is surplus"), std::string::npos) << surplus;
  const auto shape = refused({{"weight", weight.t()}, {"bias", bias}});
  EXPECT_NE(shape.find("'weight' is [3, 2], expected [2, 3]"), std::string::npos) << shape;
  const auto broken = refused({{"weight", weight * std::nan("")}, {"bias", bias}});
  EXPECT_NE(broken.find("'weight' holds values that are not finite"), std::string::npos) << broken;
  const auto type = refused({{"weight", weight.to(at::kLong)}, {"bias", bias}});
  EXPECT_NE(type.find("'weight' has type I64"), std::string::npos) << type;
}

}  // namespace
}  // namespace nagl
