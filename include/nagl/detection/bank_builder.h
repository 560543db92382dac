#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <opencv2/core/mat.hpp>
#include <optional>
#include <vector>

#include "nagl/detection/bank.h"
#include "nagl/detection/derived_mask.h"
#include "nagl/detection/reference_assembler.h"
#include "nagl/encoding/picture_encoder.h"
#include "nagl/image/image.h"
#include "nagl/image/mask.h"
#include "nagl/model/backbone.h"

namespace nagl {

/// A good picture that is there already.
struct KnownShot {
  std::string path;
  bool exact = false;  ///< pixel by pixel; else it was saved again
};

/// Makes a bank from pictures, one after the other, or adds to one: the result is the same. With
/// `coreset` below 1, each picture (tile, turn) adds that share of its patches, those least like
/// what the bank already holds, so memory never holds more than that. With `max_size`, patches that
/// were least unlike the earlier ones are forgotten once the bank is full, and its oldest pictures
/// become one entry.
class BankBuilder {
 public:
  /// @param head RM and AFL, for methods that use a head
  /// @param batch_size views a backbone pass
  /// @param roi where to look in all pictures, uint8 [H, W], above 0 inside; empty: everywhere
  /// @throws ConfigError on options that make no sense, e.g. a region of interest and tiles
  /// @throws ModelError if the head belongs to another backbone, layer or width
  BankBuilder(std::shared_ptr<const Backbone> backbone, const BankOptions& options,
              std::optional<TrainedHead> head = {}, std::int64_t batch_size = 1, cv::Mat roi = {});
  /// Goes on from a bank. @throws ModelError if it belongs to another backbone, layer or width
  BankBuilder(std::shared_ptr<const Backbone> backbone, Bank bank, std::int64_t batch_size = 1);
  ~BankBuilder();
  BankBuilder(BankBuilder&&) noexcept;
  BankBuilder& operator=(BankBuilder&&) noexcept;

  const PictureEncoder& encoder() const;
  const BankOptions& options() const;

  /// The good picture that is the same shot, if there is one.
  std::optional<KnownShot> same_shot(const Image& image) const;
  /// Whether a picture of a defect has these very pixels.
  bool holds_abnormal(const Image& image) const;

  /// @param kept by tile, [N] bool: the patches that the bank is to have, as the picture lies;
  ///        empty: all of them. Its statistics count all in any case.
  /// @throws DataError if the region of interest has other proportions than the picture
  /// @throws ConfigError if the bank is full of patches of defects
  void add_normal(const Image& image, const std::vector<at::Tensor>& kept = {});
  /// @param mask uint8 [H, W] of the picture's proportions, above 0 on the defect
  /// @param mask_path where it came from, for messages
  /// @param origin what a derived mask marks is no part of the discriminant
  /// @throws DataError if the mask marks nothing at the network's size, inside the region of
  ///         interest
  /// @throws ConfigError if the bank is full of patches of defects
  /// @throws ModelError, here or later, if features are not finite
  void add_abnormal(const Image& image, const cv::Mat& mask,
                    const std::filesystem::path& mask_path = {},
                    MaskOrigin origin = MaskOrigin::kDrawn);

  /// The good pictures so far, for Method::kNormalNn. Shares the builder's memory: use it before
  /// the next picture comes.
  Bank normal_part();

  /// The bank; the builder is empty then. What was added makes an earlier calibration void.
  Bank finish();

 private:
  struct State;  // stays where it is when the builder moves
  std::unique_ptr<State> state_;
};

/// Pictures to make a bank of, by path. An abnormal one without masks gets a derived one.
struct BankPictures {
  std::vector<std::filesystem::path> normal;
  std::vector<MaskedPicture> abnormal;
  cv::Mat roi = {};  ///< where to look in all of them; empty: everywhere
  /// Of these, the pictures and masks (uint8 [H, W], above 0 on the defect) that are in memory, by
  /// the name that stands for them above and in messages. The others are files.
  std::map<std::filesystem::path, Image> images = {};
  std::map<std::filesystem::path, cv::Mat> masks = {};
};

/// One of these pictures, from memory or its file. @throws DataError as `read_image`
Image read_picture(const BankPictures& pictures, const std::filesystem::path& name,
                   const DecodeOptions& decode);

/// Who wants to know what happens while they are read; both may be empty.
struct BankObserver {
  std::function<void(const Image&)> seen;                         ///< each picture as it was read
  std::function<void(const Mask&)> masked;                        ///< each mask that was given
  std::function<void(const Image&, const DerivedMask&)> derived;  ///< a mask that had to be derived
  /// A good picture with the very pixels of one that is there, which is not added.
  std::function<void(const Image&, const std::string& path)> copied;
  /// A good picture that is the same shot as one that is there, saved again. It is added.
  std::function<void(const Image&, const std::string& path)> nearly_copied;
};

/// Reads pictures and adds them, the normal ones first, each of which once: a copy is no further
/// evidence.
/// @throws DataError naming the file if a picture cannot be read, or a mask marks no patch
/// @throws ConfigError if a mask has to be derived and there is no normal picture
void add_pictures(BankBuilder& builder, const BankPictures& pictures,
                  const BankObserver& observer = {});

/// A bank of these pictures.
Bank make_bank(const std::shared_ptr<const Backbone>& backbone, const BankPictures& pictures,
               const BankOptions& options, std::optional<TrainedHead> head = {},
               std::int64_t batch_size = 1, const BankObserver& observer = {});

}  // namespace nagl
