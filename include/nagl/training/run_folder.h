#pragma once

#include <filesystem>
#include <vector>

#include "nagl/core/file_lock.h"
#include "nagl/training/checkpoint.h"

namespace nagl {

/// The folder of one training, held by one process at a time.
class RunFolder {
 public:
  /// Makes the folder if it is missing.
  /// @throws ConfigError if another process trains in it, DataError if it cannot be written
  explicit RunFolder(std::filesystem::path path);

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path run() const { return path_ / "run.json"; }
  std::filesystem::path checkpoint() const { return path_ / "checkpoint.safetensors"; }
  std::filesystem::path last() const { return path_ / "last.safetensors"; }
  std::filesystem::path best() const { return path_ / "best.safetensors"; }
  std::filesystem::path model() const { return path_ / "model.safetensors"; }
  std::filesystem::path metrics() const { return path_ / "metrics.csv"; }
  std::filesystem::path curve() const { return path_ / "curve.svg"; }
  std::filesystem::path features() const { return features_in(path_); }
  /// Where the pictures of a training are encoded into, which needs no hold on its folder.
  static std::filesystem::path features_in(const std::filesystem::path& path) {
    return path / "features";
  }

 private:
  std::filesystem::path path_;
  FileLock lock_;
};

/// `metrics.csv`: one row an epoch; empty cells where there was no validation.
void write_metrics(const std::filesystem::path& path, const std::vector<EpochRecord>& history);

/// `curve.svg`: losses and validation metrics over the epochs, for any browser.
void write_curve(const std::filesystem::path& path, const std::vector<EpochRecord>& history);

}  // namespace nagl
