#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <opencv2/core/mat.hpp>
#include <optional>
#include <vector>

#include "nagl/detection/bank.h"
#include "nagl/detection/derived_mask.h"
#include "nagl/image/image.h"
#include "nagl/model/backbone.h"

namespace nagl {

/// Makes a bank from pictures, one after the other, or adds to one: the result is the same. With
/// `coreset` below 1, each picture (tile, turn) adds that share of its patches, those least like
/// what the bank already holds, so memory never holds more than that.
class BankBuilder {
 public:
  /// @param head RM and AFL on the backbone's device, for Method::kNagl
  /// @param batch_size pictures a backbone pass
  /// @throws ConfigError on options that make no sense
  /// @throws ModelError if the head belongs to another backbone, layer or width
  BankBuilder(std::shared_ptr<const Backbone> backbone, const DetectorOptions& options,
              std::optional<TrainedHead> head = {}, std::int64_t batch_size = 1);
  /// Goes on from a bank. @throws ModelError if it belongs to another backbone, layer or width
  BankBuilder(std::shared_ptr<const Backbone> backbone, Bank bank, std::int64_t batch_size = 1);

  const std::shared_ptr<const Backbone>& backbone() const { return backbone_; }
  const DetectorOptions& options() const { return bank_.options; }

  /// Whether a picture of these pixels is among the references of one kind.
  bool holds_normal(const Image& image) const;
  bool holds_abnormal(const Image& image) const;

  void add_normal(const Image& image);
  /// @param mask uint8 [H, W] of the picture's proportions, above 0 on the defect
  /// @param mask_path where it came from, for messages
  /// @throws DataError if the mask marks nothing at the network's size
  /// @throws ModelError, here or later, if features are not finite
  void add_abnormal(const Image& image, const cv::Mat& mask,
                    const std::filesystem::path& mask_path = {});

  /// The good pictures so far, for Method::kNormalNn. Shares the builder's memory: use it before
  /// the next picture comes.
  Bank normal_part();

  /// The bank; the builder is empty then. What was added makes an earlier calibration void.
  Bank finish();

 private:
  struct View {
    at::Tensor pixels;      ///< [3, H, W]
    at::Tensor patch_mask;  ///< [N] bool; undefined for a normal picture
    bool probe = false;     ///< stands for good pictures in `Bank::probe_scores`
  };
  /// Rows that grow, with room to spare.
  class Rows {
   public:
    void append(const at::Tensor& rows);
    at::Tensor all() const { return rows_.slice(0, 0, size_); }
    std::int64_t size() const { return size_; }

   private:
    at::Tensor rows_;
    std::int64_t size_ = 0;
  };
  /// Features of a tile of normal picture `picture`.
  struct Probe {
    std::int64_t picture;
    at::Tensor features;  ///< [N, C]
  };

  void add_view(View view);
  void flush();
  void keep_probe(std::int64_t picture, const at::Tensor& features);
  std::vector<Probe> probes() const;
  at::Tensor score_probes() const;

  std::shared_ptr<const Backbone> backbone_;
  std::int64_t batch_size_;
  PatchGrid grid_;
  Bank bank_;
  bool changed_ = false;
  std::vector<View> waiting_;
  std::vector<std::int64_t> owners_;  ///< the normal picture of each waiting view, -1: abnormal
  Rows normal_, abnormal_;
  std::vector<at::Tensor> patch_masks_;
  std::vector<Probe> kept_probes_;  ///< of a thinned bank, whose rows are no whole pictures
  std::int64_t probes_seen_ = 0, probe_stride_ = 1;  ///< every so many of those seen are kept
  std::vector<at::Tensor> mirrored_;  ///< tiles of the first picture, mirrored, while it is alone
};

/// Reference pictures by path. An abnormal one without masks gets a derived one.
struct ReferencePaths {
  std::vector<std::filesystem::path> normal;
  std::vector<MaskedPicture> abnormal;
};

/// Who wants to know what happens while references are read; both may be empty.
struct ReferenceListener {
  std::function<void(const Image&)> seen;                         ///< each picture as it was read
  std::function<void(const Image&, const DerivedMask&)> derived;  ///< a mask that had to be derived
};

/// Reads pictures and adds them, the normal ones first.
/// @throws DataError naming the file if a picture cannot be read, or a mask marks no patch
/// @throws ConfigError if a mask has to be derived and there is no normal picture
void add_pictures(BankBuilder& builder, const ReferencePaths& references,
                  const ReferenceListener& listener = {});

/// A bank of these pictures.
Bank make_bank(const std::shared_ptr<const Backbone>& backbone, const ReferencePaths& references,
               const DetectorOptions& options, std::optional<TrainedHead> head = {},
               std::int64_t batch_size = 1, const ReferenceListener& listener = {});

/// Normal rows that a bank of pictures of one size will hold, before any is encoded.
/// @param patch side of a patch in pixels
std::int64_t expected_rows(cv::Size picture, const DetectorOptions& options, std::int64_t patch);

}  // namespace nagl
