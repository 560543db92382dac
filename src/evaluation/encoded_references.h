#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <opencv2/core/mat.hpp>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "nagl/core/torch.h"
#include "nagl/dataset/dataset.h"
#include "nagl/detection/bank_options.h"
#include "nagl/detection/reference_assembler.h"
#include "nagl/encoding/picture_encoder.h"
#include "nagl/evaluation/protocol.h"
#include "nagl/model/reference_bank.h"
#include "nagl/model/trained_head.h"

namespace nagl {

/// The reference pictures of one category, each read and encoded once whatever the number of draws
/// it is in, and the banks of these draws, each made once. A bank is what `BankBuilder` would make
/// of the same pictures.
class EncodedReferences {
 public:
  using Paths = std::vector<std::filesystem::path>;

  /// @param options how banks are made: its method says whether surroundings are needed, its turns
  ///        are the most that a bank is asked with
  /// @param head for methods that use one, on the encoder's device; null: none
  /// @param roi a mask of where to look in all pictures, references too; null: everywhere, or each
  ///        query has its own
  EncodedReferences(const PictureEncoder& encoder, const BankOptions& options,
                    const TrainedHead* head, const Category& category,
                    const std::optional<std::filesystem::path>& roi = {});
  EncodedReferences(const EncodedReferences&) = delete;  // what waits points into it
  EncodedReferences& operator=(const EncodedReferences&) = delete;

  /// Whether the mask of a picture of a defect marks anything at the network's size. Reads the
  /// picture. @throws DataError naming the file if it cannot be read
  bool is_usable(const Sample& sample);

  /// Encodes the references of all draws.
  /// @throws DataError naming a picture that cannot be read, or whose mask marks nothing
  void encode(const std::vector<ReferenceDraw>& draws);

  /// Of encoded pictures. @param turns as the options', or 1: turned copies are left out
  /// @param with_head whether a method is asked of it that uses the head
  std::shared_ptr<const ReferenceBank> bank(const Paths& normal, const Paths& abnormal,
                                            std::int64_t turns, bool with_head);

  bool contains(const std::filesystem::path& path) const { return pictures_.contains(path); }
  Paths paths() const;
  /// Of the pictures and masks that were read.
  const std::vector<Remark>& remarks() const { return remarks_; }
  /// A picture's features [N, C] by tile, as it is (not turned); undefined for tiles that were not
  /// encoded. Empty for a picture that is none of the references.
  std::vector<at::Tensor> features_by_tile(const std::filesystem::path& path) const;

 private:
  struct View {
    std::size_t tile = 0;
    std::int64_t turn = 0;
    at::Tensor patch_mask, clear;  ///< [N] bool, of a picture of a defect, as in DefectView
    at::Tensor features;           ///< [N, C], once it is encoded
  };
  struct Picture {
    std::size_t tiles = 0;
    std::vector<View> views;
  };

  Picture& load(const Sample& sample);
  /// The patches of references that count. @throws DataError unless the region of interest can be
  /// laid over the picture
  const CountedPatches& counted_in(const Image& image);
  ReferenceAssembler assembler(std::int64_t turns) const;
  const ReferenceFeatures& normal_features(const Paths& paths, std::int64_t turns);

  PictureEncoder encoder_;
  BankOptions options_;
  const TrainedHead* head_;
  const Category& category_;
  std::optional<std::filesystem::path> roi_path_;
  cv::Mat roi_;  ///< once the first picture is there
  std::optional<CountedPatches> counted_;
  std::map<std::filesystem::path, Picture> pictures_;
  std::vector<Remark> remarks_;
  ViewBatches<std::pair<Picture*, std::size_t>> waiting_;
  std::map<std::pair<Paths, std::int64_t>, ReferenceFeatures> normal_features_;  ///< by turns
  using BankKey = std::tuple<Paths, Paths, std::int64_t, bool>;  ///< what `bank` is asked for
  std::map<BankKey, std::shared_ptr<const ReferenceBank>> banks_;
};

}  // namespace nagl
