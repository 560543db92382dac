#include "nagl/model/weights.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <functional>
#include <limits>
#include <optional>
#include <utility>

#include "nagl/core/atomic_file.h"
#include "nagl/core/error.h"
#include "nagl/core/json.h"
#include "nagl/core/sha256.h"

namespace nagl {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors are little endian");

constexpr std::uint64_t kLargestHeader = 100'000'000;
constexpr std::size_t kLengthBytes = 8;

constexpr std::pair<const char*, at::ScalarType> kTypes[] = {
    {"F64", at::kDouble}, {"F32", at::kFloat}, {"F16", at::kHalf}, {"BF16", at::kBFloat16},
    {"I64", at::kLong},   {"I32", at::kInt},   {"U8", at::kByte},  {"BOOL", at::kBool},
};

std::optional<at::ScalarType> type_of(const std::string& name) {
  for (const auto& [text, type] : kTypes) {
    if (name == text) return type;
  }
  return std::nullopt;
}

const char* name_of(at::ScalarType type) {
  for (const auto& [text, candidate] : kTypes) {
    if (candidate == type) return text;
  }
  throw std::invalid_argument("safetensors cannot hold this type of tensor");
}

/// A non-negative integer that fits int64, or nothing.
std::optional<std::uint64_t> as_size(const Json& value) {
  if (!value.is_number_unsigned()) return std::nullopt;
  const auto number = value.get<std::uint64_t>();
  if (number > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    return std::nullopt;
  }
  return number;
}

std::string shape_text(at::IntArrayRef shape) {
  return fmt::format("[{}]", fmt::join(shape.begin(), shape.end(), ", "));
}

/// What a checksum has of a tensor before its bytes.
std::string checksum_heading(const std::string& name, at::ScalarType type, at::IntArrayRef shape) {
  return fmt::format("{}\n{}\n{}\n", name, name_of(type), shape_text(shape));
}

}  // namespace

struct WeightsFile::Descriptor {
  explicit Descriptor(const std::filesystem::path& path)
      : value(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {}
  ~Descriptor() {
    if (value >= 0) ::close(value);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  const int value;
};

void WeightsFile::fail(const std::string& why) const {
  throw ModelError(fmt::format("weights file '{}': {}", path_.string(), why));
}

WeightsFile::WeightsFile(std::filesystem::path path)
    : path_(std::move(path)), file_(std::make_shared<const Descriptor>(path_)) {
  if (file_->value < 0) fail(std::strerror(errno));
  struct stat status {};
  if (::fstat(file_->value, &status) != 0) fail(std::strerror(errno));
  if (!S_ISREG(status.st_mode)) fail("not a regular file");
  read_header(static_cast<std::uint64_t>(status.st_size));
}

bool WeightsFile::read_at(void* data, std::uint64_t size, std::uint64_t offset) const {
  char* bytes = static_cast<char*>(data);
  while (size > 0) {
    const ssize_t got = ::pread(file_->value, bytes, size, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    bytes += got;
    size -= static_cast<std::uint64_t>(got);
    offset += static_cast<std::uint64_t>(got);
  }
  return true;
}

void WeightsFile::read_header(std::uint64_t file_size) {
  std::uint64_t header_size = 0;
  if (file_size < kLengthBytes || !read_at(&header_size, kLengthBytes, 0)) {
    fail("truncated: it is too short to be a safetensors file");
  }
  if (header_size > file_size - kLengthBytes) {
    fail(
        fmt::format("truncated, or not a safetensors file: its header claims {} bytes, the file "
                    "has {}",
                    header_size, file_size));
  }
  if (header_size > kLargestHeader) {
    fail(fmt::format("its header of {} bytes is larger than any valid one", header_size));
  }
  std::string text(header_size, '\0');
  if (!read_at(text.data(), header_size, kLengthBytes)) fail("cannot be read");

  Json header;
  try {
    header = parse_json(text);
  } catch (const Json::exception&) {
    fail("its header is not valid JSON in UTF-8; not a safetensors file, or a damaged one");
  }
  if (!header.is_object()) fail("its header is not a JSON object");

  const std::uint64_t data_begin = kLengthBytes + header_size;
  const std::uint64_t data_size = file_size - data_begin;
  for (const auto& [name, value] : header.items()) {
    if (name == "__metadata__") {
      if (!value.is_object()) fail("its __metadata__ is not an object");
      for (const auto& [key, text_value] : value.items()) {
        if (!text_value.is_string()) fail("metadata '" + key + "' is not a string");
        metadata_[key] = text_value.get<std::string>();
      }
      continue;
    }
    const auto bad = [&](const std::string& why) { fail("tensor '" + name + "' " + why); };
    const bool complete = value.is_object() && value.contains("dtype") && value.contains("shape") &&
                          value.contains("data_offsets") && value["dtype"].is_string() &&
                          value["shape"].is_array() && value["data_offsets"].is_array() &&
                          value["data_offsets"].size() == 2;
    if (!complete) bad("has no valid dtype, shape and data_offsets");
    Entry entry;
    entry.name = name;
    const auto type = type_of(value["dtype"].get<std::string>());
    if (!type) bad("has the unknown type '" + value["dtype"].get<std::string>() + "'");
    entry.dtype = *type;
    std::uint64_t bytes = c10::elementSize(*type);
    for (const Json& side : value["shape"]) {
      const auto extent = as_size(side);
      if (!extent || entry.shape.size() >= 16) bad("has an invalid shape");
      if (__builtin_mul_overflow(bytes, *extent, &bytes)) bad("claims an impossible size");
      entry.shape.push_back(static_cast<std::int64_t>(*extent));
    }
    const auto begin = as_size(value["data_offsets"][0]), end = as_size(value["data_offsets"][1]);
    if (!begin || !end || *begin > *end) bad("has invalid data_offsets");
    if (*end > data_size) {
      bad(fmt::format("ends at byte {} of {}: the file is truncated or damaged", *end, data_size));
    }
    if (*end - *begin != bytes) {
      bad(fmt::format("has {} bytes where its shape {} and type need {}", *end - *begin,
                      shape_text(entry.shape), bytes));
    }
    entry.begin = data_begin + *begin;
    entry.size = bytes;
    entries_.emplace(name, std::move(entry));
  }

  // Sorted by their place, tensors must follow each other and fill the file.
  std::vector<const Entry*> order;
  for (const auto& [name, entry] : entries_) order.push_back(&entry);
  std::sort(order.begin(), order.end(), [](const Entry* a, const Entry* b) {
    return std::pair(a->begin, a->size) < std::pair(b->begin, b->size);
  });
  std::uint64_t at = data_begin;
  for (const Entry* entry : order) {
    if (entry->begin < at) fail("tensor '" + entry->name + "' overlaps another");
    if (entry->begin > at) fail("there is a gap before tensor '" + entry->name + "'");
    at = entry->begin + entry->size;
  }
  if (at != file_size) {
    fail(fmt::format("{} bytes after its last tensor belong to none", file_size - at));
  }
}

std::string WeightsFile::text(const std::string& key) const {
  const auto found = metadata_.find(key);
  return found == metadata_.end() ? "" : found->second;
}

const WeightsFile::Entry& WeightsFile::entry(const std::string& name) const {
  const auto found = entries_.find(name);
  if (found == entries_.end()) fail("tensor '" + name + "' is missing");
  return found->second;
}

at::Tensor WeightsFile::read(const std::string& name) const {
  const Entry& wanted = entry(name);
  at::Tensor tensor = at::empty(wanted.shape, at::TensorOptions().dtype(wanted.dtype));
  if (!read_at(tensor.data_ptr(), wanted.size, wanted.begin)) {
    fail("tensor '" + name + "' cannot be read: the file changed or is damaged");
  }
  return tensor;
}

std::string WeightsFile::checksum() const {
  // In blocks on the stack: a whole tensor for each of thousands of files would leave as many holes
  // in the heap.
  std::array<char, 1 << 16> block;
  Sha256 sum;
  for (const auto& [name, entry] : entries_) {
    sum.update(checksum_heading(name, entry.dtype, entry.shape));
    for (std::uint64_t done = 0; done < entry.size;) {
      const std::uint64_t size = std::min<std::uint64_t>(block.size(), entry.size - done);
      if (!read_at(block.data(), size, entry.begin + done)) {
        fail("tensor '" + name + "' cannot be read: the file changed or is damaged");
      }
      sum.update(block.data(), size);
      done += size;
    }
  }
  return sum.hex();
}

void WeightsFile::load_into(torch::nn::Module& module, const std::string& prefix) const {
  const at::NoGradGuard no_grad;
  auto targets = module.named_parameters();
  for (const auto& buffer : module.named_buffers()) targets.insert(buffer.key(), buffer.value());
  for (const auto& [name, stored] : entries_) {
    if (!name.starts_with(prefix)) continue;
    const at::Tensor* target = targets.find(name.substr(prefix.size()));
    if (target == nullptr) {
      fail("tensor '" + name + "' is surplus: not part of this kind of model");
    }
    if (target->sizes() != at::IntArrayRef(stored.shape)) {
      fail(fmt::format("tensor '{}' is {}, expected {}", name, shape_text(stored.shape),
                       shape_text(target->sizes())));
    }
    if (!at::isFloatingType(stored.dtype)) {
      fail(fmt::format("tensor '{}' has type {}, expected a floating type", name,
                       name_of(stored.dtype)));
    }
  }
  for (const auto& target : targets) {
    const std::string name = prefix + target.key();
    const at::Tensor stored = read(entry(name).name);
    if (!at::isfinite(stored).all().item<bool>()) {
      fail("tensor '" + name + "' holds values that are not finite; fetch or train it again");
    }
    target.value().copy_(stored);
  }
}

namespace {

/// Hands a file's bytes over, one part after the other.
void each_part(const std::map<std::string, at::Tensor>& tensors,
               const std::map<std::string, std::string>& metadata,
               const std::function<void(const void* data, std::size_t size)>& take) {
  Json header = Json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::uint64_t offset = 0;
  for (const auto& [name, tensor] : tensors) {
    const auto size = static_cast<std::uint64_t>(tensor.numel()) * tensor.element_size();
    header[name] = {{"dtype", name_of(tensor.scalar_type())},
                    {"shape", tensor.sizes().vec()},
                    {"data_offsets", {offset, offset + size}}};
    offset += size;
  }
  std::string text = dump_json(header);
  text.append((kLengthBytes - text.size() % kLengthBytes) % kLengthBytes, ' ');
  const std::uint64_t length = text.size();
  take(&length, kLengthBytes);
  take(text.data(), text.size());
  for (const auto& [name, tensor] : tensors) {
    const at::Tensor stored = tensor.detach().to(at::kCPU).contiguous();
    take(stored.data_ptr(), static_cast<std::size_t>(stored.nbytes()));
  }
}

}  // namespace

void write_weights(const std::filesystem::path& path,
                   const std::map<std::string, at::Tensor>& tensors,
                   const std::map<std::string, std::string>& metadata, bool flush) {
  AtomicFile file(path);
  each_part(tensors, metadata, [&](const void* data, std::size_t size) { file.write(data, size); });
  file.commit(flush);
}

std::string weights_bytes(const std::map<std::string, at::Tensor>& tensors,
                          const std::map<std::string, std::string>& metadata) {
  std::string bytes;
  each_part(tensors, metadata, [&](const void* data, std::size_t size) {
    bytes.append(static_cast<const char*>(data), size);
  });
  return bytes;
}

std::string checksum_of(const std::map<std::string, at::Tensor>& tensors) {
  Sha256 sum;
  for (const auto& [name, tensor] : tensors) {
    const at::Tensor stored = tensor.detach().to(at::kCPU).contiguous();
    sum.update(checksum_heading(name, stored.scalar_type(), stored.sizes()));
    sum.update(stored.data_ptr(), stored.nbytes());
  }
  return sum.hex();
}

std::map<std::string, at::Tensor> state_of(const torch::nn::Module& module) {
  std::map<std::string, at::Tensor> state;
  for (const auto& item : module.named_parameters()) state[item.key()] = item.value().detach();
  for (const auto& item : module.named_buffers()) state[item.key()] = item.value().detach();
  return state;
}

}  // namespace nagl
