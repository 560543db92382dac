#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <opencv2/core/mat.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "nagl/core/read_ahead.h"
#include "nagl/core/torch.h"
#include "nagl/encoding/encoding_options.h"
#include "nagl/encoding/feature_cache.h"
#include "nagl/image/image.h"
#include "nagl/model/backbone.h"
#include "nagl/nn/position_encoding.h"

namespace nagl {

/// The way from pictures to patch features, for references, queries and training alike: read, cut
/// into tiles, resized and normalised on the device that encodes, encoded by batches. A value:
/// copies share the backbone, and where features are kept. Safe to use from several threads.
class PictureEncoder {
 public:
  /// @param batch_size views (pictures, or tiles of them) a backbone pass, at most
  /// @throws ConfigError on options out of range, an image size that the backbone does not take, or
  ///         another layer than the backbone was loaded for
  PictureEncoder(std::shared_ptr<const Backbone> backbone, EncodingOptions options,
                 std::int64_t batch_size = 1);

  const Backbone& backbone() const { return *backbone_; }
  const std::shared_ptr<const Backbone>& shared_backbone() const { return backbone_; }
  /// Those given, with layer and precision as the backbone has them.
  const EncodingOptions& options() const { return options_; }
  std::int64_t batch_size() const { return batch_size_; }
  /// The patches of one view.
  PatchGrid grid() const;

  /// @throws DataError naming the file, as `read_image`
  Image read(const std::filesystem::path& path) const { return read_image(path, options_.decode); }

  /// Reads pictures, and what belongs to them, beside the computing where a processor is free for
  /// it, else when they are asked for. As many as a batch takes, of tiled ones, which are large, no
  /// more than two.
  /// @param read makes item 0, 1, ..., `count` - 1, in any thread, several at once
  template <typename Item>
  ReadAhead<Item> read_ahead(std::size_t count, std::function<Item(std::size_t)> read) const {
    return ReadAhead<Item>(count, std::move(read), items_beside());
  }
  /// How many pictures are read, or written, beside the computing; 0: no processor is free for it.
  std::size_t items_beside() const {
    return items_ahead(options_.tiling.tile > 0 ? 1 : batch_size_, backbone_->device());
  }

  /// The tiles that a picture is cut into; one without tiling.
  TileGrid tiles_of(const cv::Mat& picture) const;

  /// A view as the backbone takes it: `preprocess` on the backbone's device.
  /// @param rgb uint8 [H, W, 3], a picture or a tile of one
  /// @return [3, h, w] float32
  at::Tensor pixels(const cv::Mat& rgb) const;

  /// The patches of a view that a mask marks.
  /// @param mask uint8 [H, W] of the view's proportions
  /// @return [N] bool on the CPU
  at::Tensor patch_mask(const cv::Mat& mask) const;

  /// @param pixels [B, 3, h, w] of `pixels` @return [B, N, C] float32 on the backbone's device
  at::Tensor encode(const at::Tensor& pixels) const;
  /// From now on this encoder and its copies keep the features of views in a folder, and take what
  /// is there from it. Not while others encode. @param folder empty: no more
  void keep_features_in(const std::filesystem::path& folder) const;
  /// The same of several layers, with class tokens, in one pass.
  std::vector<LayerFeatures> encode(const at::Tensor& pixels,
                                    const std::vector<std::int64_t>& layers) const {
    return backbone_->encode_layers(pixels, layers);
  }

 private:
  std::shared_ptr<const Backbone> backbone_;
  std::shared_ptr<std::optional<FeatureCache>> kept_ =
      std::make_shared<std::optional<FeatureCache>>();
  EncodingOptions options_;
  std::int64_t batch_size_;
};

/// Gathers views into batches, encodes these, and hands over the features with what each view was
/// tagged with, in the order in which they came.
template <typename Tag>
class ViewBatches {
 public:
  /// @param features [B, N, C] float32 on the backbone's device @param tags B of them
  using Done = std::function<void(const at::Tensor& features, std::vector<Tag>& tags)>;

  ViewBatches(PictureEncoder encoder, Done done)
      : encoder_(std::move(encoder)), done_(std::move(done)) {}

  /// Encodes once a batch is full. @param pixels [3, h, w] of `PictureEncoder::pixels`
  void add(at::Tensor pixels, Tag tag) {
    pixels_.push_back(std::move(pixels));
    tags_.push_back(std::move(tag));
    if (static_cast<std::int64_t>(tags_.size()) >= encoder_.batch_size()) flush();
  }

  /// Encodes what waits.
  void flush() {
    if (tags_.empty()) return;
    std::vector<Tag> tags = std::exchange(tags_, {});
    const at::Tensor batch = at::stack(std::exchange(pixels_, {}));
    done_(encoder_.encode(batch), tags);
  }

  std::size_t waiting() const { return tags_.size(); }

 private:
  PictureEncoder encoder_;
  Done done_;
  std::vector<at::Tensor> pixels_;
  std::vector<Tag> tags_;
};

}  // namespace nagl
