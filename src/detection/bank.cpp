#include "nagl/detection/bank.h"

#include <fmt/format.h>

#include <numeric>

#include "nagl/core/error.h"
#include "nagl/core/options.h"
#include "nagl/core/sha256.h"
#include "nagl/core/version.h"
#include "nagl/image/preprocess.h"
#include "nagl/model/weights.h"

namespace nagl {
namespace {

constexpr const char* kKind = "nagl bank";
constexpr const char* kHeadPrefix = "head.";

/// What a bank file says beside its tensors.
struct BankRecord {
  BankOptions options;
  std::vector<EnrolledPicture> normal, abnormal;
  std::vector<std::int64_t> normal_rows, abnormal_views;
  std::optional<Calibration> calibration;

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("options", self.options);
    visit("normal", self.normal);
    visit("normal_rows", self.normal_rows);
    visit("abnormal", self.abnormal);
    visit("abnormal_views", self.abnormal_views);
    visit("calibration", self.calibration);
  }
};

[[noreturn]] void fail(const std::filesystem::path& path, const std::string& why) {
  throw ModelError(fmt::format("bank '{}': {}", path.string(), why));
}

std::string text_of(const WeightsFile& file, const std::string& key) {
  const auto found = file.metadata().find(key);
  return found == file.metadata().end() ? "" : found->second;
}

/// Banks of nagl 0.1 had the options of their encoding among their own.
void gather_encoding(const WeightsFile& file, Json& record) {
  if (!record.is_object() || !record.contains("options")) return;
  Json& options = record["options"];
  if (!options.is_object() || options.contains("encoding")) return;
  Json encoding = Json::object();
  for (const char* key : {"image_size", "mask_alignment", "decode", "tiling"}) {
    if (!options.contains(key)) continue;
    encoding[key] = options[key];
    options.erase(key);
  }
  if (const auto precision = text_of(file, "precision"); !precision.empty()) {
    encoding["precision"] = precision;
  }
  options["encoding"] = std::move(encoding);
}

BankRecord read_record(const WeightsFile& file) {
  BankRecord record;
  try {
    Json json = Json::parse(text_of(file, "bank"));
    gather_encoding(file, json);
    option_from_json(record, json, "bank");
    record.options.check();
  } catch (const Json::exception&) {
    fail(file.path(), "what it says of its pictures is not valid JSON; it is damaged");
  } catch (const ConfigError& error) {
    fail(file.path(), fmt::format("{}; it was written by another version of nagl ({}), or damaged",
                                  error.what(), text_of(file, "nagl_version")));
  }
  return record;
}

/// A tensor that must be finite and of so many sides.
at::Tensor read_tensor(const WeightsFile& file, const std::string& name, at::ScalarType type,
                       std::int64_t sides) {
  const at::Tensor tensor = file.read(name);
  if (tensor.scalar_type() != type || tensor.dim() != sides ||
      !at::isfinite(tensor).all().item<bool>()) {
    fail(file.path(), fmt::format("tensor '{}' is not what a bank holds; it is damaged", name));
  }
  return tensor;
}

/// Whether so many counts, none negative, belong to `pictures` and sum up to `rows`.
bool adds_up(const std::vector<std::int64_t>& counts, std::size_t pictures, std::int64_t rows) {
  for (const auto count : counts) {
    if (count < 0 || count > rows) return false;
  }
  return counts.size() == pictures &&
         std::accumulate(counts.begin(), counts.end(), std::int64_t{0}) == rows;
}

}  // namespace

std::string checksum_of(const Image& image) {
  Sha256 sum;
  sum.update(fmt::format("{}x{}\n", image.rgb.rows, image.rgb.cols));
  for (int y = 0; y < image.rgb.rows; ++y) {
    sum.update(image.rgb.ptr(y), static_cast<std::size_t>(image.rgb.cols) * image.rgb.elemSize());
  }
  return sum.hex();
}

std::optional<std::int64_t> find_picture(const std::vector<EnrolledPicture>& pictures,
                                         const std::string& checksum) {
  for (std::size_t i = 0; i < pictures.size(); ++i) {
    if (pictures[i].checksum == checksum) return static_cast<std::int64_t>(i);
  }
  return std::nullopt;
}

Bank Bank::on(at::Device device) const {
  Bank there = *this;
  if (there.head) there.head = there.head->on(device);
  ReferenceFeatures& features = there.features;
  features.normal = features.normal.to(device);
  if (features.abnormal.defined()) {
    features.abnormal = features.abnormal.to(device);
    features.patch_mask = features.patch_mask.to(device);
  }
  return there;
}

void check_origin(const Bank& bank, const Backbone& backbone) {
  HeadOrigin here{backbone.name(), "", backbone.layer(), backbone.width()};
  if (!bank.origin.backbone_checksum.empty()) here.backbone_checksum = backbone.checksum();
  bank.origin.check_equals(here, "bank");
}

void save_bank(const std::filesystem::path& path, const Bank& bank, const Backbone& backbone) {
  const BankRecord record{bank.options,
                          bank.normal,
                          bank.abnormal,
                          bank.features.normal_rows,
                          bank.features.abnormal_views,
                          bank.calibration};
  const HeadOrigin origin = origin_of(backbone);
  auto metadata = head_metadata(
      bank.head ? bank.head->head->options() : NaglHeadOptions{.width = origin.width}, origin);
  metadata["kind"] = kKind;
  metadata["nagl_version"] = version();
  metadata["precision"] = to_string(bank.options.encoding.precision);
  metadata["preprocess_version"] = std::to_string(kPreprocessVersion);
  metadata["bank"] = dump_json(option_to_json(record));
  std::map<std::string, at::Tensor> tensors;
  tensors["normal"] = bank.features.normal;
  if (bank.features.abnormal.defined()) {
    tensors["abnormal"] = bank.features.abnormal;
    tensors["patch_mask"] = bank.features.patch_mask;
  }
  if (bank.probe_scores.defined()) tensors["probe_scores"] = bank.probe_scores;
  if (bank.head) {
    const auto named = bank.head->metadata.find("model");  // a head that came from a bank
    metadata["model"] =
        named != bank.head->metadata.end() ? named->second : bank.head->path.string();
    for (const auto& [name, tensor] : state_of(*bank.head->head)) {
      tensors[kHeadPrefix + name] = tensor;
    }
  }
  write_weights(path, tensors, metadata);
}

Bank load_bank(const std::filesystem::path& path, at::Device device) {
  const c10::InferenceMode guard(false);  // the head is a module
  const WeightsFile file(path);
  if (const auto kind = text_of(file, "kind"); kind != kKind) {
    fail(path, fmt::format("it is no bank (its kind is '{}'); give a file that nagl enroll wrote",
                           kind.empty() ? "unknown" : kind));
  }
  if (const auto made = text_of(file, "preprocess_version");
      made != std::to_string(kPreprocessVersion)) {
    fail(path, fmt::format("its pictures were preprocessed in another way (version {}, here {}); "
                           "enroll them again",
                           made, kPreprocessVersion));
  }
  BankRecord record = read_record(file);
  Bank bank;
  bank.options = record.options;
  bank.normal = std::move(record.normal);
  bank.abnormal = std::move(record.abnormal);
  bank.calibration = record.calibration;
  bank.origin = read_origin(file);
  bank.options.encoding.layer = bank.origin.layer;
  ReferenceFeatures& features = bank.features;
  features.normal = read_tensor(file, "normal", at::kFloat, 2).to(device);
  features.normal_rows = std::move(record.normal_rows);
  features.abnormal_views = std::move(record.abnormal_views);
  bool whole = features.normal.size(1) == bank.origin.width &&
               adds_up(features.normal_rows, bank.normal.size(), features.normal.size(0));
  if (file.entries().contains("abnormal")) {
    features.abnormal = read_tensor(file, "abnormal", at::kFloat, 2).to(device);
    features.patch_mask = read_tensor(file, "patch_mask", at::kBool, 2).to(device);
    const at::Tensor& mask = features.patch_mask;
    whole = whole && features.abnormal.size(1) == bank.origin.width &&
            adds_up(features.abnormal_views, bank.abnormal.size(), mask.size(0)) &&
            mask.any(1).all().item<bool>() &&
            mask.sum().item<std::int64_t>() == features.abnormal.size(0);
  } else {
    whole = whole && bank.abnormal.empty() && features.abnormal_views.empty();
  }
  if (file.entries().contains("probe_scores")) {
    bank.probe_scores = read_tensor(file, "probe_scores", at::kFloat, 2);
    whole = whole && bank.probe_scores.size(0) > 0;
    if (features.patch_mask.defined()) {
      whole = whole && bank.probe_scores.size(1) == features.patch_mask.size(1);
    }
  }
  if (!whole) fail(path, "its tensors do not fit its list of pictures; it is damaged");
  for (const auto& [name, entry] : file.entries()) {
    if (!name.starts_with(kHeadPrefix)) continue;
    bank.head = read_head(file, kHeadPrefix, device);
    break;
  }
  return bank;
}

}  // namespace nagl
