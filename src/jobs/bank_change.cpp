#include "nagl/jobs/bank_change.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "nagl/core/atomic_file.h"
#include "nagl/core/device.h"
#include "nagl/core/error.h"
#include "nagl/core/file_lock.h"
#include "nagl/core/options.h"
#include "nagl/core/text.h"
#include "nagl/detection/bank_edit.h"
#include "nagl/jobs/bank_preparation.h"

namespace nagl::jobs {
namespace {

namespace fs = std::filesystem;

constexpr const char* kChanging = "changing the bank";
constexpr std::size_t kLeastDigits = 8;  // of a checksum

struct NamedPicture {
  bool abnormal = false;
  std::int64_t index = 0;
  const EnrolledPicture* picture = nullptr;
};

/// In the order in which they are numbered.
std::vector<NamedPicture> pictures_of(const Bank& bank) {
  std::vector<NamedPicture> all;
  for (const bool abnormal : {false, true}) {
    const auto& pictures = abnormal ? bank.abnormal : bank.normal;
    for (std::size_t i = 0; i < pictures.size(); ++i) {
      all.push_back({abnormal, static_cast<std::int64_t>(i), &pictures[i]});
    }
  }
  return all;
}

/// Whether a path ends with the parts of another one.
bool ends_with(const fs::path& path, const fs::path& end) {
  auto own = path.end(), other = end.end();
  while (other != end.begin()) {
    if (own == path.begin() || *--own != *--other) return false;
  }
  return !end.empty();
}

bool is_named(const NamedPicture& picture, std::size_t number, const std::string& name) {
  if (name.starts_with('#')) return name == fmt::format("#{}", number);
  const std::string digits = lower_case(name);
  const bool hex = digits.size() >= kLeastDigits &&
                   digits.find_first_not_of("0123456789abcdef") == std::string::npos;
  if (hex && picture.picture->checksum.starts_with(digits)) return true;
  return ends_with(picture.picture->path, fs::path(name).lexically_normal());
}

PictureIndices find(const fs::path& path, const Bank& bank, const std::vector<std::string>& names) {
  PictureIndices found;
  const auto all = pictures_of(bank);
  for (const auto& name : names) {
    std::vector<const NamedPicture*> meant;
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (is_named(all[i], i + 1, name)) meant.push_back(&all[i]);
    }
    if (meant.empty()) {
      throw DataError(fmt::format("'{}' is none of the pictures in '{}'; nagl bank show lists them",
                                  name, path.string()));
    }
    if (meant.size() > 1) {
      throw DataError(fmt::format("'{}' may be '{}' or '{}' in '{}'; name more of its path", name,
                                  meant[0]->picture->path, meant[1]->picture->path, path.string()));
    }
    if (meant[0]->picture->path.empty() && meant[0]->picture->checksum.empty()) {
      throw DataError(
          fmt::format("'{}' in '{}' stands for {} pictures, which the bank does not "
                      "tell apart any more; nagl bank undo goes back to before",
                      name, path.string(), bank.features.merged));
    }
    (meant[0]->abnormal ? found.abnormal : found.normal).push_back(meant[0]->index);
  }
  return found;
}

Json describe(const NamedPicture& named, std::size_t number) {
  const EnrolledPicture& picture = *named.picture;
  Json described = {{"number", number},
                    {"part", named.abnormal ? "abnormal" : "normal"},
                    {"path", picture.path},
                    {"checksum", picture.checksum}};
  if (picture.width > 0) {
    described["width"] = picture.width;
    described["height"] = picture.height;
  }
  if (!picture.modified.empty()) described["modified"] = picture.modified;
  return described;
}

}  // namespace

void save_change(const fs::path& path, const Bank& bank, const Backbone& backbone,
                 const std::string& change, std::size_t keep) {
  FileHistory(path).replace(bank_bytes(bank, backbone), change, keep);
}

Json describe_bank(const fs::path& path) {
  const Bank bank = load_bank(path, at::kCPU);
  Json described;
  std::error_code error;
  described["file"] = path.string();
  described["bytes"] = fs::file_size(path, error);
  described["backbone"] = bank.origin.backbone;
  described["layer"] = bank.origin.layer;
  described["method"] = to_string(bank.options.method);
  described["scored_by"] = to_string(bank.scored_by());
  described["options"] = option_to_json(bank.options);
  if (!bank.roi.empty()) {
    described["roi"] = {{"width", bank.roi.cols}, {"height", bank.roi.rows}};
  }
  described["patches"] = bank.features.normal.size(0);
  Json& pictures = described["pictures"] = Json::array();
  const auto all = pictures_of(bank);
  for (std::size_t i = 0; i < all.size(); ++i) {
    Json picture = describe(all[i], i + 1);
    if (i == 0 && bank.features.merged > 0) picture["pictures"] = bank.features.merged;
    const auto& rows = bank.features.normal_rows;
    if (!all[i].abnormal) picture["patches"] = rows[static_cast<std::size_t>(all[i].index)];
    pictures.push_back(std::move(picture));
  }
  const auto calibration = bank.shown_calibration();
  described["calibration"] = calibration ? option_to_json(*calibration) : Json(nullptr);
  described["decisions"] = option_to_json(bank.decisions);
  described["generations"] = bank_history(path).size();
  return described;
}

std::vector<Generation> bank_history(const fs::path& bank) {
  std::error_code error;
  if (!fs::is_regular_file(bank, error)) {
    throw DataError(fmt::format("'{}' is no file; name a bank", bank.string()));
  }
  return FileHistory(bank).list();
}

std::vector<Generation> undo_changes(const fs::path& bank, std::size_t steps) {
  const FileLock lock = FileLock::on_file(bank, kChanging);
  bank_history(bank);  // throws if it is no file
  return FileHistory(bank).undo(steps);
}

ChangeResult remove_pictures(const RemoveOptions& options, const JobObserver& observer) {
  const FileLock lock = FileLock::on_file(options.bank, kChanging);
  Bank bank = load_bank(options.bank, device_of(options.runtime));
  const PictureIndices removed = find(options.bank, bank, options.pictures);
  const PictureEncoder encoder = encoder_as_made(options.bank, bank, {}, options.runtime, observer);
  const bool calibrated = bank.calibration.has_value();
  const Bank left =
      without_pictures(encoder.shared_backbone(), bank, removed, [&](const std::string& why) {
        observer.warn(fmt::format("overlays will have the colours of a usual part: {}", why));
      });
  ChangeResult result;
  for (const auto index : removed.normal) {
    result.pictures.push_back(bank.normal[static_cast<std::size_t>(index)].path);
  }
  for (const auto index : removed.abnormal) {
    result.pictures.push_back(bank.abnormal[static_cast<std::size_t>(index)].path);
  }
  if (bank.features.thinned) {
    observer.warn(
        "the bank is thinned: patches of the other pictures were chosen with these in sight, and "
        "stay as they are; a bank that was never given them may hold others");
  }
  if (bank.scored_by() != left.scored_by()) {
    observer.info(fmt::format("method {}: {} from now on, since no picture of a defect is left",
                              to_string(bank.options.method), to_string(left.scored_by())));
  }
  if (calibrated) observer.warn("the bank's calibration is void; calibrate it again");
  save_change(options.bank, left, encoder.backbone(),
              fmt::format("remove {}", fmt::join(result.pictures, ", ")), options.keep);
  result.normal = static_cast<std::size_t>(left.normal_count());
  result.abnormal = left.abnormal.size();
  return result;
}

ChangeResult merge_banks(const MergeOptions& options, const JobObserver& observer) {
  if (options.banks.size() < 2) throw ConfigError("name two banks or more");
  std::error_code error;
  if (fs::exists(options.out, error) && !options.overwrite) {
    throw ConfigError(
        fmt::format("'{}' exists; give --overwrite to replace it", options.out.string()));
  }
  const FileLock lock = FileLock::on_file(options.out, kChanging);
  AtomicFile probe(options.out);  // never committed: what cannot be written is said at once
  const at::Device device = device_of(options.runtime);
  Bank all = load_bank(options.banks.front(), device);
  const PictureEncoder encoder =
      encoder_as_made(options.banks.front(), all, {}, options.runtime, observer);
  bool calibrated = all.calibration.has_value();
  ChangeResult result;
  for (std::size_t i = 1; i < options.banks.size(); ++i) {
    const fs::path& path = options.banks[i];
    Bank more = load_bank(path, device);
    more.origin.check_equals(all.origin, path);
    calibrated = calibrated || more.calibration;
    more.options.encoding.decode.max_pixels = all.options.encoding.decode.max_pixels;
    try {
      all = joined(encoder.shared_backbone(), all, more);
    } catch (const ConfigError& wrong) {
      throw ConfigError(fmt::format("'{}' and '{}': {}", options.banks.front().string(),
                                    path.string(), wrong.what()));
    }
  }
  if (all.features.thinned) {
    observer.warn(
        "the bank is thinned: it may hold other patches than one that was given all "
        "pictures in turn");
  }
  if (calibrated) observer.warn("a calibration is void in the new bank; calibrate it");
  std::vector<std::string> names;
  for (const auto& path : options.banks) names.push_back(path.string());
  save_change(options.out, all, encoder.backbone(), fmt::format("merge {}", fmt::join(names, ", ")),
              options.keep);
  for (const auto& named : pictures_of(all)) result.pictures.push_back(named.picture->path);
  result.normal = static_cast<std::size_t>(all.normal_count());
  result.abnormal = all.abnormal.size();
  return result;
}

}  // namespace nagl::jobs
