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
  take(options.tiling.tile, tile);
  take(options.tiling.overlap, overlap);
  return options;
}

BankOptions BankRequest::over(BankOptions options) const {
  options.encoding = encoding.over(options.encoding);
  take(options.method, method);
  take(options.turns, turns);
  take(options.coreset, coreset);
  options.check();
  return options;
}

void BankRequest::check_agrees(const std::filesystem::path& bank_path, const Bank& bank) const {
  const auto differ = [&](const char* option, const auto& asked, const auto& made) {
    if (asked == made) return;
    throw ModelError(
        fmt::format("bank '{}' was made with {} {}, not {}; leave the option out, or enroll again",
                    bank_path.string(), option, made, asked));
  };
  const BankOptions& made = bank.options;
  const EncodingOptions& encoded = made.encoding;
  if (method) differ("--method", to_string(*method), to_string(made.method));
  if (turns) differ("--augment-references turns", *turns, made.turns);
  if (coreset) differ("--coreset", *coreset, made.coreset);
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
