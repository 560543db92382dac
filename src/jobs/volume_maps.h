#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <opencv2/core/mat.hpp>
#include <string>
#include <vector>

#include "nagl/image/volume.h"
#include "nagl/jobs/score_output.h"

namespace nagl::jobs {

/// Puts the maps of a volume's slices together: `volumes/NAME-axial.nii.gz` in the output folder,
/// which lies as the volume does. Slices that were not scored are 0. May be used by several
/// threads.
class VolumeMaps {
 public:
  /// @param out output folder; empty: nothing is written
  VolumeMaps(std::filesystem::path out, const std::vector<QueryFile>& queries);

  /// Writes a volume once the last of its slices came. Pictures that are no slices are passed over.
  /// @param map float32 [H, W] of the slice's size; empty: it could not be scored
  /// @throws DataError naming a file that cannot be written
  void add(const QueryFile& query, const cv::Mat& map);
  /// Writes those of which not all slices came, where the run was stopped.
  void finish();

 private:
  struct Whole {
    std::filesystem::path file, written;
    std::int64_t left = 0;
    std::unique_ptr<Volume> scores;

    void write();
  };

  std::mutex mutex_;
  std::map<std::string, Whole> wholes_;  ///< by file and axis
};

}  // namespace nagl::jobs
