#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

#include "nagl/model/backbone.h"
#include "nagl/nn/nagl_head.h"

namespace nagl {

/// What a head is trained on, and works with alone: features of this backbone, layer and width.
struct HeadOrigin {
  std::string backbone;           ///< in words
  std::string backbone_checksum;  ///< empty: not known (a converted checkpoint)
  std::int64_t layer = 0;
  std::int64_t width = 0;
  std::int64_t patch = 14;  ///< pixels; what older files, which do not say it, were made with

  /// @throws ModelError naming `file` and both sides unless they are the same
  void check_equals(const HeadOrigin& other, const std::filesystem::path& file) const;
};

HeadOrigin origin_of(const Backbone& backbone);
/// The same without the checksum, for which the whole file is read.
HeadOrigin origin_without_checksum(const Backbone& backbone);

/// Weights of RM and AFL with all that is needed to use them.
struct TrainedHead {
  NaglHead head{nullptr};
  HeadOrigin origin;
  std::filesystem::path path;
  std::map<std::string, std::string> metadata;  ///< as in the file: options, provenance
  /// SHA-256 of its tensors as `WeightsFile::checksum` gives it for a file of them alone, wherever
  /// it was read from; empty for a head that was not.
  std::string checksum = {};

  /// The head on a device: itself where it is there already, else a copy. This one stays where it
  /// is.
  TrainedHead on(at::Device device) const;
};

/// The metadata that every file with a head's weights carries.
std::map<std::string, std::string> head_metadata(const NaglHeadOptions& options,
                                                 const HeadOrigin& origin);

/// What `head_metadata` wrote. A file that a published checkpoint was converted to names no
/// backbone.
/// @throws ModelError naming the file on metadata that is missing or makes no sense
HeadOrigin read_origin(const WeightsFile& file);

/// What `load_head` does, for a file that holds more than a head.
/// @param prefix of the names of the head's tensors
TrainedHead read_head(const WeightsFile& file, const std::string& prefix, at::Device device);

/// Loads `model.safetensors`. @throws ModelError naming the file if it is no such file
TrainedHead load_head(const std::filesystem::path& path, at::Device device);

}  // namespace nagl
