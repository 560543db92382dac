#include "nagl/detection/bank_edit.h"

#include <fmt/format.h>

#include <algorithm>
#include <opencv2/core.hpp>
#include <set>

#include "bank_size.h"
#include "nagl/core/error.h"
#include "nagl/core/options.h"
#include "nagl/image/image.h"
#include "nagl/model/weights.h"
#include "probe_scores.h"

namespace nagl {
namespace {

/// Computes what good pictures look like again, as the bank's builder does.
void renew_probe_scores(const std::shared_ptr<const Backbone>& backbone, Bank& bank,
                        const std::function<void(const std::string& why)>& left_out) {
  if (!holds_views(bank)) return;  // its rows do not tell
  bank.probe_scores = at::Tensor();
  const PictureEncoder encoder(backbone, bank.options.encoding, 1);
  ProbeCollector probes(/*keep=*/false);
  if (bank.normal.size() == 1 && uses_normal(bank.options.method)) {
    // Of one that is alone its mirror image counts, which no bank holds.
    const EnrolledPicture& alone = bank.normal.front();
    try {
      const Image image = encoder.read(alone.path);
      if (checksum_of(image) != alone.checksum) throw DataError("it has changed");
      probes.begin_picture(encoder, image.rgb, /*first=*/true);
    } catch (const DataError& error) {
      if (left_out) left_out(fmt::format("'{}': {}", alone.path, error.what()));
      return;
    }
  }
  bank.probe_scores = probes.score(encoder, bank, {});
}

/// The bank on the backbone's device, with the options that its encoder has.
Bank settled(const Backbone& backbone, const Bank& bank) {
  check_origin(bank, backbone);
  return bank.on(backbone.device());
}

bool same_picture(const cv::Mat& a, const cv::Mat& b) {
  return a.size() == b.size() && (a.empty() || cv::norm(a, b, cv::NORM_INF) == 0);
}

void check_alike(const Bank& first, const Bank& second) {
  const auto refuse = [](const std::string& what) {
    throw ConfigError(fmt::format("the banks differ in {}; enroll one of them again", what));
  };
  const Json one = option_to_json(first.options), other = option_to_json(second.options);
  for (const auto& [name, value] : one.items()) {
    if (value != other.at(name)) {
      refuse(
          fmt::format("option {}: {} and {}", name, dump_json(value), dump_json(other.at(name))));
    }
  }
  if (!same_picture(first.roi, second.roi)) refuse("their region of interest");
  const auto model = [](const Bank& bank) {
    return bank.head ? checksum_of(state_of(*bank.head->head)) : std::string();
  };
  if (model(first) != model(second)) refuse("their trained model");
}

}  // namespace

Bank without_pictures(const std::shared_ptr<const Backbone>& backbone, const Bank& bank,
                      const PictureIndices& pictures,
                      const std::function<void(const std::string& why)>& left_out) {
  const c10::InferenceMode guard;
  std::set<std::string> gone;
  for (const auto index : pictures.normal) {
    gone.insert(bank.normal.at(static_cast<std::size_t>(index)).checksum);
  }
  for (const auto index : pictures.abnormal) {
    gone.insert(bank.abnormal.at(static_cast<std::size_t>(index)).checksum);
  }
  Bank left = leaving_out(settled(*backbone, bank), pictures);
  const Method method = left.options.method;
  if (uses_normal(method) && left.normal.empty()) {
    throw ConfigError("a bank needs a good picture: remove its file, or enroll others first");
  }
  if (needs_abnormal(method) && left.abnormal.empty()) {
    throw ConfigError(
        fmt::format("a bank of method {} needs a picture of a defect: enroll another "
                    "first",
                    to_string(method)));
  }
  left.calibration.reset();
  std::erase_if(left.decisions,
                [&](const Decision& decision) { return gone.contains(decision.checksum); });
  if (left.scored_by() != bank.scored_by()) left.probe_scores = at::Tensor();  // of another method
  renew_probe_scores(backbone, left, left_out);
  return left;
}

Bank joined(const std::shared_ptr<const Backbone>& backbone, const Bank& first,
            const Bank& second) {
  const c10::InferenceMode guard;
  check_alike(first, second);
  Bank both = settled(*backbone, first);
  if (second.features.merged > 0) {
    throw ConfigError(
        first.features.merged > 0
            ? "both are full (--max-size), and their oldest pictures are one entry each, so it "
              "cannot be told whether they are the same: enroll one's pictures into the other"
            : "the second bank's oldest pictures are one entry (--max-size), which must stay the "
              "first: name that bank first");
  }
  PictureIndices copies;
  const auto find_copies = [](const std::vector<EnrolledPicture>& known,
                              const std::vector<EnrolledPicture>& pictures,
                              std::vector<std::int64_t>& found) {
    for (std::size_t i = 0; i < pictures.size(); ++i) {
      if (find_picture(known, pictures[i].checksum)) found.push_back(static_cast<std::int64_t>(i));
    }
  };
  find_copies(first.normal, second.normal, copies.normal);
  find_copies(first.abnormal, second.abnormal, copies.abnormal);
  Bank more = leaving_out(settled(*backbone, second), copies);
  const Method before = both.scored_by();
  make_alike(both.features, more.features);
  both.features = both.features.followed_by(more.features);
  both.normal.insert(both.normal.end(), more.normal.begin(), more.normal.end());
  both.abnormal.insert(both.abnormal.end(), more.abnormal.begin(), more.abnormal.end());
  for (const auto& decision : more.decisions) {
    const bool known =
        std::any_of(both.decisions.begin(), both.decisions.end(),
                    [&](const Decision& other) { return other.checksum == decision.checksum; });
    if (!known) both.decisions.push_back(decision);
  }
  both.calibration.reset();
  keep_within_size(both, PictureEncoder(backbone, both.options.encoding, 1).grid().size());
  if (!holds_views(both)) {
    const bool comparable = before == both.scored_by() && more.scored_by() == before;
    if (!comparable || !both.probe_scores.defined() || !more.probe_scores.defined()) {
      both.probe_scores = at::Tensor();
    } else {
      both.probe_scores = spread_rows(at::cat({both.probe_scores, more.probe_scores}));
    }
    return both;
  }
  renew_probe_scores(backbone, both, {});
  return both;
}

}  // namespace nagl
