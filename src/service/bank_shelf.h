#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "nagl/core/json.h"
#include "nagl/detection/detector.h"
#include "nagl/detection/drift.h"
#include "nagl/image/overlay.h"
#include "nagl/service/serve.h"
#include "notices.h"

namespace nagl::service {

/// A bank that is served, with all that its answers need.
struct ServedBank {
  ServedBank(Detector made, std::string when);

  Detector detector;
  ColourScale scale;
  std::string loaded;  ///< UTC, ISO 8601

  /// Of a scored picture: a sentence when pictures are no longer what the bank was calibrated with.
  std::optional<std::string> see(const Image& image, double raw_score) const;

 private:
  mutable std::mutex mutex_;
  mutable DriftWatch drift_;
};

/// The banks by name, each as its file last was. Safe to use from several threads.
class BankShelf {
 public:
  /// Loads all of them, and the backbone that they share.
  /// @throws ModelError naming a bank that cannot be used; ConfigError on names that come twice
  BankShelf(const ServeOptions& options, const jobs::JobObserver& observer);

  /// @return null: there is none of that name
  std::shared_ptr<const ServedBank> find(const std::string& name) const;
  std::vector<std::string> names() const;
  /// What `GET /v1/banks` gives: name, pictures, method, verdicts, image size, and why a newer file
  /// is not in use.
  Json describe() const;

  /// Looks for files that were replaced, and loads those that have not changed since the look
  /// before. Of one that cannot be used a warning tells, once, and the old one stays.
  void refresh(Notices& notices);

  const PictureEncoder& encoder() const { return *encoder_; }

 private:
  /// What tells whether a file is still the one it was.
  struct Stamp {
    std::uint64_t inode = 0;
    std::int64_t size = -1, seconds = 0, nanoseconds = 0;

    bool operator==(const Stamp&) const = default;
  };
  struct Place {
    std::filesystem::path file;
    std::shared_ptr<const ServedBank> bank;
    Stamp loaded, seen;  ///< the one in use (or that failed), and the one of the last look
    std::string error;   ///< why a newer file is not in use
  };

  static Stamp stamp_of(const std::filesystem::path& file);
  std::shared_ptr<const ServedBank> load(const std::filesystem::path& file,
                                         const jobs::JobObserver& observer);

  jobs::BankRequest request_;
  jobs::RuntimeOptions runtime_;
  std::optional<PictureEncoder> encoder_;  ///< of the first bank
  mutable std::mutex mutex_;
  std::map<std::string, Place> places_;
};

}  // namespace nagl::service
