#include "nagl/jobs/requests.h"

#include <fmt/format.h>

#include "nagl/core/error.h"
#include "nagl/model/weights.h"

namespace nagl::jobs {
namespace {

template <typename T>
void take(T& target, const std::optional<T>& asked) {
  if (asked) target = *asked;
}

}  // namespace

EncodingOptions EncodingRequest::over(EncodingOptions options) const {
  if (layer) options.layer = layer;
  take(options.precision, precision);
  take(options.image_size, image_size);
  take(options.decode.bit_depth, bit_depth);
  take(options.decode.max_pixels, max_pixels);
  take(options.tiling.tile, tile);
  take(options.tiling.overlap, overlap);
  return options;
}

BankOptions ReferenceRequest::over(BankOptions options) const {
  take(options.turns, turns);
  take(options.coreset, coreset);
  take(options.max_size, max_size);
  if (abnormal_weight) options.discriminant.weight = abnormal_weight;
  take(options.discriminant.surroundings, surroundings);
  if (top_share) options.top_share = top_share;
  return options;
}

BankOptions BankRequest::over(BankOptions options) const {
  options.encoding = encoding.over(options.encoding);
  options = references.over(options);
  take(options.method, method);
  options.check();
  return options;
}

void BankRequest::check_agrees(const std::filesystem::path& bank_path, const Bank& bank) const {
  const auto differ = [&](const char* option, const auto& asked, const auto& made) {
    if (fmt::format("{}", asked) == fmt::format("{}", made)) return;
    throw ModelError(
        fmt::format("bank '{}' was made with {} {}, not {}; leave the option out, or enroll again",
                    bank_path.string(), option, made, asked));
  };
  const BankOptions& made = bank.options;
  const EncodingOptions& encoded = made.encoding;
  if (method && *method != bank.scored_by()) {  // what `auto` came down to may be named, too
    differ("--method", to_string(*method), to_string(made.method));
  }
  if (references.turns) differ("--augment-references turns", *references.turns, made.turns);
  if (references.coreset) differ("--coreset", *references.coreset, made.coreset);
  if (references.max_size) differ("--max-size", *references.max_size, made.max_size);
  if (const auto& weight = references.abnormal_weight) {
    const auto& own = made.discriminant.weight;
    differ("--abnormal-weight", fmt::format("{}", *weight),
           own ? fmt::format("{}", *own) : std::string("by the number of defects"));
  }
  if (const auto& surroundings = references.surroundings) {
    differ("--abnormal-surroundings", *surroundings ? "on" : "off",
           made.discriminant.surroundings ? "on" : "off");
  }
  if (const auto& share = references.top_share) {
    differ("--top-share", *share, made.top_share.value_or(top_share_of(made.method)));
  }
  if (encoding.tile) differ("--tile", *encoding.tile, encoded.tiling.tile);
  if (encoding.overlap) differ("--overlap", *encoding.overlap, encoded.tiling.overlap);
  if (encoding.bit_depth) differ("--bit-depth", *encoding.bit_depth, encoded.decode.bit_depth);
  if (encoding.layer) differ("--layer", *encoding.layer, bank.origin.layer);
  if (encoding.image_size) {
    differ("--image-size", to_string(*encoding.image_size), to_string(encoded.image_size));
  }
  if (!model.empty()) {
    const std::string asked = WeightsFile(model).checksum();
    const std::string held = bank.head ? checksum_of(state_of(*bank.head->head)) : "none";
    differ("a --model of checksum", asked.substr(0, 12), held.substr(0, 12));
  }
}

}  // namespace nagl::jobs
