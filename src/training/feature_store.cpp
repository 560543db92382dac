#include "nagl/training/feature_store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include "nagl/core/atomic_file.h"
#include "nagl/core/error.h"
#include "nagl/core/file_part.h"
#include "nagl/core/sha256.h"

namespace nagl {
namespace {

namespace fs = std::filesystem;

constexpr const char* kKind = "nagl features";
constexpr int kFormatVersion = 2;
constexpr std::uint64_t kHeaderAllowance = 4096;  // of an entry's file

std::int64_t packed_size(const FeatureFormat& format) {
  return (format.height() * format.image_width() + 7) / 8;
}

at::ScalarType scalar_type_of(StoreType type) {
  return type == StoreType::kFloat16 ? at::kHalf : at::kFloat;
}

/// A file mapped into memory, read only.
class Mapping {
 public:
  Mapping(const fs::path& path, std::uint64_t expected_size) : size_(expected_size) {
    const auto fail = [&](const std::string& why) {
      throw DataError("stored features '" + path.string() + "' " + why +
                      "; run again, and they are made anew");
    };
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) fail(std::string("cannot be opened: ") + std::strerror(errno));
    struct stat status {};
    const bool same =
        ::fstat(descriptor, &status) == 0 && static_cast<std::uint64_t>(status.st_size) == size_;
    if (same) {
      data_ = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE | MAP_POPULATE, descriptor, 0);
    }
    ::close(descriptor);
    if (!same) fail("changed while they were in use");
    if (data_ == MAP_FAILED) fail(std::string("cannot be mapped: ") + std::strerror(errno));
  }
  ~Mapping() {
    if (data_ != MAP_FAILED) ::munmap(data_, size_);
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  /// Not to be written to.
  void* at(std::uint64_t offset) const { return static_cast<unsigned char*>(data_) + offset; }

 private:
  void* data_ = MAP_FAILED;
  std::uint64_t size_;
};

/// Eight pixels a byte, the first in the lowest bit.
at::Tensor pack_bits(const at::Tensor& mask) {
  const at::Tensor flat = mask.contiguous().flatten();
  const auto* bytes = flat.const_data_ptr<std::uint8_t>();
  at::Tensor packed = at::zeros({(flat.numel() + 7) / 8}, at::kByte);
  auto* bits = packed.data_ptr<std::uint8_t>();
  for (std::int64_t i = 0; i < flat.numel(); ++i) {
    if (bytes[i] != 0) bits[i / 8] = static_cast<std::uint8_t>(bits[i / 8] | 1U << (i % 8));
  }
  return packed;
}

/// The eight pixels of each byte value.
constexpr auto kUnpacked = [] {
  std::array<std::array<std::uint8_t, 8>, 256> table{};
  for (unsigned value = 0; value < 256; ++value) {
    for (unsigned bit = 0; bit < 8; ++bit) {
      table[value][bit] = static_cast<std::uint8_t>(value >> bit & 1U);
    }
  }
  return table;
}();

at::Tensor unpack_bits(const at::Tensor& packed, std::int64_t height, std::int64_t width) {
  const auto* bits = packed.const_data_ptr<std::uint8_t>();
  const std::int64_t pixels = height * width;
  at::Tensor mask = at::empty({(pixels + 7) / 8, 8}, at::kByte);
  auto* bytes = mask.data_ptr<std::uint8_t>();
  for (std::int64_t i = 0; i < mask.size(0); ++i) {
    std::memcpy(bytes + 8 * i, kUnpacked[bits[i]].data(), 8);
  }
  return mask.flatten().slice(0, 0, pixels).reshape({height, width});
}

}  // namespace

FeatureStore::FeatureStore(fs::path folder, FeatureFormat format)
    : folder_(std::move(folder)), format_(std::move(format)) {}

fs::path FeatureStore::path_of(const std::string& key) const {
  return folder_ / key.substr(0, 2) / (key + ".safetensors");
}

std::uint64_t FeatureStore::entry_bytes() const {
  const auto patches = static_cast<std::uint64_t>(format_.grid.size());
  const auto element = c10::elementSize(scalar_type_of(format_.type));
  return patches * static_cast<std::uint64_t>(format_.width) * element + patches +
         static_cast<std::uint64_t>(packed_size(format_)) + kHeaderAllowance;
}

std::string FeatureStore::key_of(const SourcePicture& picture) const {
  Json masks = Json::array();
  for (const auto& mask : picture.masks) masks.push_back(sha256_of_part(mask));
  const Json key = {{"kind", kKind},
                    {"version", kFormatVersion},
                    {"picture", sha256_of_part(picture.path)},
                    {"masks", masks},
                    {"category", picture.category},
                    {"defect", picture.defect},
                    {"grid", {format_.grid.rows, format_.grid.columns}},
                    {"patch", format_.patch},
                    {"width", format_.width},
                    {"type", to_string(format_.type)},
                    {"recipe", format_.recipe}};
  return Sha256().update(dump_json(key)).hex();
}

FeatureStore::Layout FeatureStore::layout_of(const WeightsFile& file) const {
  Layout layout;
  const auto place_of = [&](const std::string& name, at::ScalarType type,
                            const std::vector<std::int64_t>& shape) {
    const auto& entry = file.entry(name);
    if (entry.dtype != type || entry.shape != shape) throw ModelError("'" + name + "' is another");
    layout.file_size = std::max(layout.file_size, entry.begin + entry.size);
    return entry.begin;
  };
  layout.features =
      place_of("features", scalar_type_of(format_.type), {format_.grid.size(), format_.width});
  if (!file.entries().contains("patch_mask")) return layout;
  layout.patch_mask = place_of("patch_mask", at::kBool, {format_.grid.size()});
  layout.network_mask = place_of("network_mask", at::kByte, {packed_size(format_)});
  return layout;
}

bool FeatureStore::check(const std::string& key) {
  // Its place is made now even if it is to be put later: among the large tensors of an encoding,
  // each would pin a hole of an entry's size in the heap.
  Layout& layout = entries_[key];
  std::error_code error;
  if (!fs::exists(path_of(key), error)) return false;
  try {
    const WeightsFile file(path_of(key));
    const auto sum = file.metadata().find("checksum");
    if (sum == file.metadata().end() || sum->second != file.checksum()) return false;
    layout = layout_of(file);
    return true;
  } catch (const ModelError&) {
    return false;  // damaged: it will be made anew
  }
}

void FeatureStore::put(const std::string& key, const SourcePicture& picture,
                       const at::Tensor& features, const PictureMasks& masks) {
  std::map<std::string, at::Tensor> tensors;
  tensors["features"] = features.to(at::kCPU, scalar_type_of(format_.type));
  if (!at::isfinite(tensors["features"]).all().item<bool>()) {
    throw ModelError("the features of '" + picture.path.string() + "' are not finite as " +
                     to_string(format_.type) +
                     "; try store.type=float32, or fetch the backbone again");
  }
  if (masks.network.defined()) {
    tensors["network_mask"] = pack_bits(masks.network);
    tensors["patch_mask"] = masks.patches.to(at::kBool);
  }
  const fs::path path = path_of(key);
  write_weights(path, tensors,
                {{"kind", kKind},
                 {"checksum", checksum_of(tensors)},
                 {"picture", picture.path.string()},
                 {"category", picture.category},
                 {"defect", picture.defect},
                 {"image_size", fmt::format("{}x{}", format_.height(), format_.image_width())},
                 {"recipe", dump_json(format_.recipe)},
                 {"encoding", dump_json(format_.encoding)}},
                /*flush=*/false);
  entries_[key] = layout_of(WeightsFile(path));
}

StoredPicture FeatureStore::get(const std::string& key) const {
  const Layout& layout = entries_.at(key);
  const auto mapping = std::make_shared<const Mapping>(path_of(key), layout.file_size);
  const auto view = [&](std::uint64_t offset, at::IntArrayRef shape, at::ScalarType type) {
    return at::from_blob(
        mapping->at(offset), shape, [mapping](void*) {}, type);
  };
  StoredPicture picture;
  picture.features =
      view(layout.features, {format_.grid.size(), format_.width}, scalar_type_of(format_.type));
  if (layout.patch_mask != 0) {
    picture.patch_mask = view(layout.patch_mask, {format_.grid.size()}, at::kBool);
    picture.packed_mask = view(layout.network_mask, {packed_size(format_)}, at::kByte);
  }
  return picture;
}

at::Tensor FeatureStore::network_mask(const StoredPicture& picture) const {
  const std::int64_t height = format_.height(), width = format_.image_width();
  if (!picture.packed_mask.defined()) return at::zeros({height, width}, at::kByte);
  return unpack_bits(picture.packed_mask, height, width);
}

}  // namespace nagl
