#include "nagl/detection/bank.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <set>
#include <stdexcept>

#include "nagl/core/atomic_file.h"
#include "nagl/core/duration.h"
#include "nagl/core/error.h"
#include "nagl/core/file_part.h"
#include "nagl/core/options.h"
#include "nagl/core/sha256.h"
#include "nagl/core/version.h"
#include "nagl/image/preprocess.h"
#include "nagl/model/weights.h"

namespace nagl {
namespace {

constexpr const char* kKind = "nagl bank";
constexpr const char* kHeadPrefix = "head.";
constexpr const char *kNormalThumbnails = "normal_thumbnails",
                     *kAbnormalThumbnails = "abnormal_thumbnails", *kRoi = "roi",
                     *kNovelty = "novelty", *kSurroundingsNovelty = "surroundings_novelty";

/// What a bank file says beside its tensors.
struct BankRecord {
  BankOptions options;
  std::vector<EnrolledPicture> normal, abnormal;
  std::vector<std::int64_t> normal_rows, abnormal_views;
  /// Of a thinned bank: patches that the moments of each normal, each abnormal picture stand for.
  std::vector<std::int64_t> normal_moments, abnormal_moments;
  std::optional<bool> thinned;  ///< null: where its coreset is below 1
  std::int64_t merged = 0;      ///< as in ReferenceFeatures
  std::optional<Calibration> calibration;
  std::vector<Decision> decisions;

  template <typename Self, typename Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("options", self.options);
    visit("normal", self.normal);
    visit("normal_rows", self.normal_rows);
    visit("abnormal", self.abnormal);
    visit("abnormal_views", self.abnormal_views);
    visit("normal_moments", self.normal_moments);
    visit("abnormal_moments", self.abnormal_moments);
    visit("thinned", self.thinned);
    visit("merged", self.merged);
    visit("calibration", self.calibration);
    visit("decisions", self.decisions);
  }
};

[[noreturn]] void fail(const std::filesystem::path& path, const std::string& why) {
  throw ModelError(fmt::format("bank '{}': {}", path.string(), why));
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
  if (const auto precision = file.text("precision"); !precision.empty()) {
    encoding["precision"] = precision;
  }
  options["encoding"] = std::move(encoding);
}

BankRecord read_record(const WeightsFile& file) {
  BankRecord record;
  try {
    Json json = parse_json(file.text("bank"));
    gather_encoding(file, json);
    option_from_json(record, json, "bank");
    record.options.check();
  } catch (const Json::exception&) {
    fail(file.path(), "what it says of its pictures is not valid JSON; it is damaged");
  } catch (const ConfigError& error) {
    fail(file.path(), fmt::format("{}; it was written by another version of nagl ({}), or damaged",
                                  error.what(), file.text("nagl_version")));
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

/// @param counts gets the number of patches of each
void add_moments(const std::string& kind, const std::vector<FeatureMoments>& all,
                 std::vector<std::int64_t>& counts, std::map<std::string, at::Tensor>& tensors) {
  std::vector<at::Tensor> means, scatters;
  for (const auto& moments : all) {
    counts.push_back(moments.count);
    if (moments.count == 0) continue;
    means.push_back(moments.mean.to(at::kFloat));
    scatters.push_back(moments.scatter.to(at::kFloat));
  }
  if (means.empty()) return;
  tensors[kind + "_means"] = at::stack(means);
  tensors[kind + "_scatters"] = at::stack(scatters);
}

/// @param counts patches of each; those without any have no rows in the tensors
std::vector<FeatureMoments> read_moments(const WeightsFile& file, const std::string& kind,
                                         const std::vector<std::int64_t>& counts) {
  std::vector<FeatureMoments> all;
  const auto used = std::count_if(counts.begin(), counts.end(), [](auto n) { return n > 0; });
  at::Tensor means, scatters;
  if (used > 0) {
    means = read_tensor(file, kind + "_means", at::kFloat, 2).to(at::kDouble);
    scatters = read_tensor(file, kind + "_scatters", at::kFloat, 3).to(at::kDouble);
    const std::int64_t width = means.size(1);
    if (means.size(0) != used || scatters.sizes() != at::IntArrayRef({used, width, width})) {
      fail(file.path(), "its moments do not fit each other; it is damaged");
    }
  }
  std::int64_t row = 0;
  for (const auto count : counts) {
    FeatureMoments& moments = all.emplace_back();
    if (count <= 0) continue;
    moments = {count, means[row], scatters[row]};
    ++row;
  }
  return all;
}

/// One after the other, of the last ones that have one: those of nagl 0.1 have none, nor has an
/// entry of several pictures.
at::Tensor thumbnails_of(const std::vector<EnrolledPicture>& pictures) {
  std::vector<at::Tensor> all;
  for (const auto& picture : pictures) {
    const cv::Mat& grey = picture.thumbnail.grey();
    if (grey.empty()) {
      all.clear();
    } else {
      all.push_back(at::from_blob(grey.data, {grey.rows, grey.cols}, at::kByte));
    }
  }
  return all.empty() ? at::Tensor() : at::stack(all);
}

void read_thumbnails(const WeightsFile& file, const std::string& name,
                     std::vector<EnrolledPicture>& pictures) {
  if (!file.entries().contains(name)) return;
  const at::Tensor all = file.read(name);
  const auto count = static_cast<std::int64_t>(pictures.size());
  constexpr std::int64_t kSide = Thumbnail::kSide;
  if (all.scalar_type() != at::kByte || all.dim() != 3 || all.size(0) > count ||
      all.size(1) != kSide || all.size(2) != kSide) {
    fail(file.path(), fmt::format("tensor '{}' is not what a bank holds; it is damaged", name));
  }
  const std::int64_t first = count - all.size(0);
  for (std::int64_t i = first; i < count; ++i) {
    const cv::Mat grey(kSide, kSide, CV_8U, all[i - first].data_ptr());
    pictures[static_cast<std::size_t>(i)].thumbnail = Thumbnail::of_grey(grey);
  }
}

/// Tensors and counts that fit each other.
ReferenceFeatures read_features(const WeightsFile& file, const BankOptions& options,
                                const BankRecord& record) {
  ReferenceFeatures features;
  const auto holds = [&](const char* name) { return file.entries().contains(name); };
  features.normal = read_tensor(file, "normal", at::kFloat, 2);
  features.normal_rows = record.normal_rows;
  features.abnormal_views = record.abnormal_views;
  features.turns = options.turns;
  if (holds("counted")) features.counted = read_tensor(file, "counted", at::kBool, 1);
  if (holds("abnormal")) {
    features.abnormal = read_tensor(file, "abnormal", at::kFloat, 2);
    features.patch_mask = read_tensor(file, "patch_mask", at::kBool, 2);
  }
  if (holds("surroundings")) {
    features.surroundings = read_tensor(file, "surroundings", at::kFloat, 2);
    features.clear = read_tensor(file, "clear", at::kBool, 2);
    features.drawn = read_tensor(file, "drawn", at::kBool, 1);
  }
  const auto damaged = [&] {
    fail(file.path(), "its tensors do not fit its list of pictures; it is damaged");
  };
  for (const auto* counts : {&record.normal_rows, &record.abnormal_views}) {
    if (std::any_of(counts->begin(), counts->end(), [](std::int64_t count) { return count < 0; })) {
      damaged();
    }
  }
  features.thinned = record.thinned.value_or(options.coreset < 1);
  features.merged = record.merged;
  if (holds(kNovelty)) features.normal_novelty = read_tensor(file, kNovelty, at::kFloat, 1);
  if (holds(kSurroundingsNovelty)) {
    features.surroundings_novelty = read_tensor(file, kSurroundingsNovelty, at::kFloat, 1);
  }
  if (features.thinned) {
    features.normal_moments = read_moments(file, "normal", record.normal_moments);
    features.abnormal_moments = read_moments(file, "abnormal", record.abnormal_moments);
  }
  try {
    if (!features.thinned && uses_surroundings(options.method)) features.compute_moments();
    features.check();
  } catch (const std::exception&) {
    damaged();
  }
  return features;
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

EnrolledPicture enrolled(const Image& image) {
  struct stat status {};
  const bool known = !image.path.empty() && ::stat(file_of(image.path).c_str(), &status) == 0;
  std::error_code error;
  // One that stays true in another working directory; what is in memory keeps the name it was
  // given.
  const auto path = known ? std::filesystem::absolute(image.path, error) : image.path;
  return {path.string(),  checksum_of(image), known ? utc_time(status.st_mtime) : "",
          image.rgb.cols, image.rgb.rows,     Thumbnail(image.rgb)};
}

std::vector<std::int64_t> same_shots(const std::vector<EnrolledPicture>& pictures,
                                     const EnrolledPicture& picture) {
  std::vector<std::int64_t> same;
  for (std::size_t i = 0; i < pictures.size(); ++i) {
    const EnrolledPicture& other = pictures[i];
    if (other.checksum.empty()) continue;  // several pictures, which have no name
    if (other.checksum == picture.checksum || other.thumbnail.is_near_copy(picture.thumbnail)) {
      same.push_back(static_cast<std::int64_t>(i));
    }
  }
  return same;
}

PictureIndices same_shots(const Bank& bank, const EnrolledPicture& picture) {
  PictureIndices same{same_shots(bank.normal, picture), {}};
  if (const auto own = find_picture(bank.abnormal, picture.checksum)) same.abnormal = {*own};
  return same;
}

Bank leaving_out(const Bank& bank, const PictureIndices& pictures) {
  // The last first, so that taking one out leaves the places of the next.
  const auto each = [](const std::vector<std::int64_t>& indices, const auto& take_out) {
    const std::set<std::int64_t> unique(indices.begin(), indices.end());
    std::for_each(unique.rbegin(), unique.rend(), take_out);
  };
  Bank left = bank;
  each(pictures.normal, [&](std::int64_t index) {
    left.features = left.features.without_normal(index);
    left.normal.erase(left.normal.begin() + index);
  });
  each(pictures.abnormal, [&](std::int64_t index) {
    left.features = left.features.without_abnormal(index);
    left.abnormal.erase(left.abnormal.begin() + index);
  });
  return left;
}

std::optional<std::int64_t> find_picture(const std::vector<EnrolledPicture>& pictures,
                                         const std::string& checksum) {
  for (std::size_t i = 0; i < pictures.size(); ++i) {
    const bool same = !checksum.empty() && pictures[i].checksum == checksum;
    if (same) return static_cast<std::int64_t>(i);
  }
  return std::nullopt;
}

Bank Bank::on(at::Device device) const {
  Bank there = *this;
  if (there.head) there.head = there.head->on(device);
  there.features = features.on(device);
  return there;
}

std::optional<Calibration> Bank::shown_calibration() const {
  std::optional<Calibration> shown = calibration;
  if (!shown) return shown;
  shown->image_threshold = shown_score(shown->image_threshold, score_range());
  shown->map_threshold = shown_score(shown->map_threshold, score_range());
  for (auto* score : {&shown->uncertain_threshold, &shown->good_score, &shown->defect_score,
                      &shown->good_least, &shown->good_most}) {
    if (*score) **score = shown_score(**score, score_range());
  }
  return shown;
}

void check_origin(const Bank& bank, const Backbone& backbone) {
  HeadOrigin here = origin_without_checksum(backbone);
  if (!bank.origin.backbone_checksum.empty()) here.backbone_checksum = backbone.checksum();
  bank.origin.check_equals(here, "bank");
}

std::string bank_bytes(const Bank& bank, const Backbone& backbone) {
  BankRecord record{bank.options,
                    bank.normal,
                    bank.abnormal,
                    bank.features.normal_rows,
                    bank.features.abnormal_views,
                    {},
                    {},
                    bank.features.thinned,
                    bank.features.merged,
                    bank.calibration,
                    bank.decisions};
  std::map<std::string, at::Tensor> tensors;
  tensors["normal"] = bank.features.normal;
  if (bank.features.abnormal.defined()) {
    tensors["abnormal"] = bank.features.abnormal;
    tensors["patch_mask"] = bank.features.patch_mask;
  }
  if (bank.features.surroundings.defined()) {
    tensors["surroundings"] = bank.features.surroundings;
    tensors["clear"] = bank.features.clear;
    tensors["drawn"] = bank.features.drawn;
  }
  if (bank.features.thinned) {
    add_moments("normal", bank.features.normal_moments, record.normal_moments, tensors);
    add_moments("abnormal", bank.features.abnormal_moments, record.abnormal_moments, tensors);
  }
  if (bank.probe_scores.defined()) tensors["probe_scores"] = bank.probe_scores;
  if (bank.features.normal_novelty.defined()) tensors[kNovelty] = bank.features.normal_novelty;
  if (bank.features.surroundings_novelty.defined()) {
    tensors[kSurroundingsNovelty] = bank.features.surroundings_novelty;
  }
  if (bank.features.counted.defined()) tensors["counted"] = bank.features.counted;
  if (!bank.roi.empty()) {
    const cv::Mat whole = bank.roi.isContinuous() ? bank.roi : bank.roi.clone();
    tensors[kRoi] = at::from_blob(whole.data, {whole.rows, whole.cols}, at::kByte).clone();
  }
  for (const auto& [name, pictures] : {std::pair(kNormalThumbnails, &bank.normal),
                                       std::pair(kAbnormalThumbnails, &bank.abnormal)}) {
    const at::Tensor thumbnails = thumbnails_of(*pictures);
    if (thumbnails.defined()) tensors[name] = thumbnails;
  }
  const HeadOrigin origin = origin_of(backbone);
  auto metadata = head_metadata(
      bank.head ? bank.head->head->options() : NaglHeadOptions{.width = origin.width}, origin);
  metadata["kind"] = kKind;
  metadata["nagl_version"] = version();
  metadata["precision"] = to_string(bank.options.encoding.precision);
  metadata["preprocess_version"] = std::to_string(kPreprocessVersion);
  metadata["bank"] = dump_json(option_to_json(record));
  if (bank.head) {
    const auto named = bank.head->metadata.find("model");  // a head that came from a bank
    metadata["model"] =
        named != bank.head->metadata.end() ? named->second : bank.head->path.string();
    for (const auto& [name, tensor] : state_of(*bank.head->head)) {
      tensors[kHeadPrefix + name] = tensor;
    }
  }
  return weights_bytes(tensors, metadata);
}

void save_bank(const std::filesystem::path& path, const Bank& bank, const Backbone& backbone) {
  write_file(path, bank_bytes(bank, backbone));
}

Bank load_bank(const std::filesystem::path& path, at::Device device) {
  const c10::InferenceMode guard(false);  // the head is a module
  const WeightsFile file(path);
  if (const auto kind = file.text("kind"); kind != kKind) {
    fail(path, fmt::format("it is no bank (its kind is '{}'); give a file that nagl enroll wrote",
                           kind.empty() ? "unknown" : kind));
  }
  if (const auto made = file.text("preprocess_version");
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
  read_thumbnails(file, kNormalThumbnails, bank.normal);
  read_thumbnails(file, kAbnormalThumbnails, bank.abnormal);
  bank.calibration = record.calibration;
  bank.decisions = std::move(record.decisions);
  bank.origin = read_origin(file);
  bank.options.encoding.layer = bank.origin.layer;
  bank.features = read_features(file, bank.options, record);
  if (file.entries().contains("probe_scores")) {
    bank.probe_scores = read_tensor(file, "probe_scores", at::kFloat, 2);
  }
  if (file.entries().contains(kRoi)) {
    const at::Tensor roi = file.read(kRoi);
    if (roi.scalar_type() != at::kByte || roi.dim() != 2 || !roi.any().item<bool>()) {
      fail(path, "its region of interest is empty; it is damaged");
    }
    cv::Mat(static_cast<int>(roi.size(0)), static_cast<int>(roi.size(1)), CV_8U, roi.data_ptr())
        .copyTo(bank.roi);
  }
  const ReferenceFeatures& features = bank.features;
  const bool probed = bank.probe_scores.defined();
  const bool whole = bank.roi.empty() != features.counted.defined() &&
                     features.normal.size(1) == bank.origin.width &&
                     features.normal_rows.size() == bank.normal.size() &&
                     features.abnormal_views.size() == bank.abnormal.size() &&
                     (!probed || bank.probe_scores.size(0) > 0) &&
                     (!probed || !features.patch_mask.defined() ||
                      bank.probe_scores.size(1) == features.patch_mask.size(1));
  if (!whole) fail(path, "its tensors do not fit its list of pictures; it is damaged");
  bank.features = bank.features.on(device);
  for (const auto& [name, entry] : file.entries()) {
    if (!name.starts_with(kHeadPrefix)) continue;
    bank.head = read_head(file, kHeadPrefix, device);
    break;
  }
  return bank;
}

}  // namespace nagl
