#pragma once

#include <filesystem>
#include <vector>

#include "nagl/core/json.h"
#include "nagl/dataset/dataset_check.h"
#include "nagl/jobs/observer.h"

namespace nagl::jobs {

/// Whether a path is looked at as a data set: a folder, or a list of pictures. Anything else is
/// taken for a weights file.
bool is_dataset(const std::filesystem::path& path);

/// What is in a backbone, a trained model, a bank, a checkpoint or an entry of a feature store:
/// file, checksum, values, bytes, metadata, tensors.
/// @throws ModelError if it is no weights file
Json inspect_weights(const std::filesystem::path& path);

/// What is in a data set.
struct DatasetInspection {
  DatasetFormat format = DatasetFormat::kAuto;
  std::vector<CategoryCheck> categories;
  bool complete = false;  ///< false: it was stopped
  bool broken = false;    ///< a picture or mask cannot be used

  Json json(const std::filesystem::path& path) const;
};

/// Looks at all pictures and masks of a data set.
/// @throws DataError if it is none
DatasetInspection inspect_dataset(const std::filesystem::path& path, DatasetFormat format,
                                  const std::string& modality, const DecodeOptions& decode,
                                  const JobObserver& observer = {});

}  // namespace nagl::jobs
