#include "bank_shelf.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <ctime>
#include <utility>

#include "nagl/core/duration.h"
#include "nagl/core/error.h"
#include "nagl/detection/reference_scale.h"
#include "nagl/jobs/bank_preparation.h"

namespace nagl::service {

namespace fs = std::filesystem;

ServedBank::ServedBank(Detector made, std::string when)
    : detector(std::move(made)),
      scale(reference_scale(detector)),
      loaded(std::move(when)),
      drift_(detector.bank()) {}

std::optional<std::string> ServedBank::see(const Image& image, double raw_score) const {
  const std::lock_guard lock(mutex_);
  return drift_.see(image, raw_score);
}

BankShelf::BankShelf(const ServeOptions& options, const jobs::JobObserver& observer)
    : runtime_(options.runtime) {
  request_.encoding.precision = options.precision;
  request_.encoding.max_pixels = options.max_pixels;
  if (options.banks.empty()) throw ConfigError("no bank to serve: give --bank NAME=FILE");
  for (const auto& [name, file] : options.banks) {
    const auto [place, fresh] = places_.try_emplace(name);
    if (!fresh) {
      throw ConfigError(fmt::format("two banks are called '{}'; give one another name", name));
    }
    place->second.file = file;
  }
  for (auto& [name, place] : places_) {
    place.loaded = place.seen = stamp_of(place.file);
    place.bank = load(place.file, observer);
  }
}

std::shared_ptr<const ServedBank> BankShelf::find(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  const auto place = places_.find(name);
  return place == places_.end() ? nullptr : place->second.bank;
}

std::vector<std::string> BankShelf::names() const {
  std::vector<std::string> names;
  for (const auto& [name, place] : places_) names.push_back(name);  // which never change
  return names;
}

Json BankShelf::describe() const {
  const std::lock_guard lock(mutex_);
  Json banks = Json::array();
  for (const auto& [name, place] : places_) {
    const Bank& bank = place.bank->detector.bank();
    Json line;
    line["name"] = name;
    line["normal"] = bank.normal_count();
    line["abnormal"] = bank.abnormal.size();
    line["method"] = to_string(bank.options.method);
    line["scored_by"] = to_string(bank.scored_by());
    line["gives_verdicts"] = place.bank->detector.thresholds().has_value();
    if (const auto calibration = bank.shown_calibration()) {
      line["threshold"] = calibration->image_threshold;
    }
    line["image_size"] = to_string(bank.options.encoding.image_size);
    line["loaded"] = place.bank->loaded;
    if (!place.error.empty()) line["error"] = place.error;
    banks.push_back(std::move(line));
  }
  return banks;
}

void BankShelf::refresh(Notices& notices) {
  for (const auto& name : names()) {
    Place& place = places_.at(name);  // of which only this thread changes more than the bank
    const Stamp now = stamp_of(place.file);
    const bool settled = now == std::exchange(place.seen, now);
    if (!settled || now == place.loaded) continue;
    place.loaded = now;
    std::shared_ptr<const ServedBank> fresh;
    std::string error;
    try {
      fresh = load(place.file, notices.observer());
      notices.add(jobs::Level::kInfo, fmt::format("bank '{}' was replaced and read again", name));
    } catch (const std::exception& failure) {
      error = failure.what();
      notices.add(jobs::Level::kWarning, fmt::format("bank '{}' stays as it was: {}", name, error));
    }
    const std::lock_guard lock(mutex_);
    if (fresh) place.bank = std::move(fresh);
    place.error = std::move(error);
  }
}

BankShelf::Stamp BankShelf::stamp_of(const fs::path& file) {
  struct stat facts {};
  if (::stat(file.c_str(), &facts) != 0) return {};
  return {facts.st_ino, facts.st_size, facts.st_mtim.tv_sec, facts.st_mtim.tv_nsec};
}

std::shared_ptr<const ServedBank> BankShelf::load(const fs::path& file,
                                                  const jobs::JobObserver& observer) {
  Bank bank = load_bank(file, jobs::device_of(runtime_));
  if (!encoder_) {
    encoder_.emplace(jobs::encoder_for(file, bank, request_, runtime_, observer));
  } else {
    request_.check_agrees(file, bank);
    bank.origin.check_equals(origin_of(encoder_->backbone()), file);
    bank.options.encoding.decode.max_pixels = encoder_->options().decode.max_pixels;
  }
  Detector detector(encoder_->shared_backbone(), std::move(bank), encoder_->batch_size());
  return std::make_shared<const ServedBank>(std::move(detector), utc_time(std::time(nullptr)));
}

}  // namespace nagl::service
