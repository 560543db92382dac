#include "decisions.h"

#include <fmt/format.h>

#include <set>

#include "nagl/core/atomic_file.h"
#include "nagl/core/error.h"
#include "nagl/core/json.h"
#include "nagl/dataset/pictures.h"
#include "nagl/jobs/bank_preparation.h"

namespace nagl::jobs {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLargestDecisions = std::size_t{1} << 28;

/// Good and bad pictures of a file that a report saved, and of the bad ones those that it outlines.
struct SavedDecisions {
  std::vector<fs::path> good, bad;
  std::set<std::string> outlined;
};

SavedDecisions read_decisions(const fs::path& file) {
  SavedDecisions saved;
  if (file.empty()) return saved;
  const auto fail = [&](const std::string& why) {
    throw DataError(fmt::format("'{}' {}; give the file that a report of nagl score saved",
                                file.string(), why));
  };
  const auto json = try_parse_json(read_file(file, kLargestDecisions));
  if (!json || !json->is_object() || !json->contains("nagl") || !json->at("nagl").is_object()) {
    fail("holds no decisions");
  }
  try {
    const Json& own = json->at("nagl");
    for (const auto& path : own.at("good")) saved.good.emplace_back(path.get<std::string>());
    for (const auto& path : own.at("bad")) saved.bad.emplace_back(path.get<std::string>());
    std::set<std::int64_t> marked;
    for (const auto& shape : json->at("annotations")) {
      marked.insert(shape.at("image_id").get<std::int64_t>());
    }
    for (const auto& image : json->at("images")) {
      if (marked.contains(image.at("id").get<std::int64_t>())) {
        saved.outlined.insert(image.at("file_name").get<std::string>());
      }
    }
  } catch (const Json::exception&) {
    fail("is damaged, or not what a report saves");
  }
  if (saved.good.empty() && saved.bad.empty()) fail("holds no decisions");
  return saved;
}

std::vector<at::Tensor> encoded(const PictureEncoder& encoder, const Image& image) {
  const c10::InferenceMode guard;
  std::vector<at::Tensor> features;
  const TileGrid tiles = encoder.tiles_of(image.rgb);
  for (std::size_t i = 0; i < tiles.count(); ++i) {
    features.push_back(encoder.encode(encoder.pixels(image.rgb(tiles.at(i))).unsqueeze(0))[0]);
  }
  return features;
}

}  // namespace

std::vector<Decided> asked_decisions(const FeedbackOptions& options, const JobObserver& observer) {
  std::vector<Decided> all;
  const auto add = [&](const fs::path& path, bool anomalous, const fs::path& mask) {
    Decided decided;
    decided.decision.path = path.string();
    decided.decision.anomalous = anomalous;
    decided.mask = mask;
    decided.fresh = true;
    all.push_back(std::move(decided));
  };
  const auto listed = [&](const std::vector<fs::path>& paths) {
    std::vector<PictureFile> masks;
    auto files = choose_references(paths, 0, &masks);
    tell_masks_left_out(masks, false, observer);
    return files;
  };
  if (!options.good.empty()) {
    for (const auto& file : listed(options.good)) add(file.path, false, {});
  }
  if (!options.masks.empty() && options.bad.empty()) {
    throw ConfigError("--masks are those of --bad");
  }
  if (!options.bad.empty()) {
    const auto files = listed(options.bad);
    if (options.masks.empty()) {
      for (const auto& file : files) add(file.path, true, {});
    } else {
      for (const auto& pair : pair_with_masks(files, options.masks)) {
        add(pair.picture, true, pair.masks.front());
      }
    }
  }
  const SavedDecisions saved = read_decisions(options.decisions);
  for (const auto& path : saved.good) add(path, false, {});
  for (const auto& path : saved.bad) {
    add(path, true, saved.outlined.contains(path.string()) ? options.decisions : fs::path());
  }
  if (all.empty()) {
    throw ConfigError(
        "nothing is said of any picture: give --good, --bad, or decisions of a report");
  }
  return all;
}

Decisions gather(const Bank& bank, std::vector<Decided> asked, const PictureEncoder& encoder,
                 const JobObserver& observer) {
  std::vector<Decided> all;
  for (const auto& earlier : bank.decisions) {
    Decided decided;
    decided.decision = earlier;
    all.push_back(std::move(decided));
  }
  for (auto& decided : asked) all.push_back(std::move(decided));
  Decisions decisions;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (observer.stopped()) throw Error("interrupted; the bank is as it was");
    observer.advance("reading", static_cast<std::int64_t>(i),
                     static_cast<std::int64_t>(all.size()));
    Decided& decided = all[i];
    Image image;
    try {
      image = encoder.read(decided.decision.path);
      decided.enrolled = enrolled(image);
    } catch (const DataError&) {
      if (decided.fresh) throw;
    }
    if (!decided.fresh && decided.enrolled.checksum != decided.decision.checksum) {
      decisions.unread.push_back(decided.decision);
      continue;
    }
    decided.decision.checksum = decided.enrolled.checksum;
    decided.decision.path = decided.enrolled.path;
    std::erase_if(decisions.read, [&](const Decided& other) {
      const bool same = other.decision.checksum == decided.decision.checksum;
      if (same) decided.decision.learnt = other.decision.learnt;
      return same;
    });
    decided.features = encoded(encoder, image);
    decisions.read.push_back(std::move(decided));
  }
  for (const auto& decided : decisions.read) {  // moved pictures may be decided again
    std::erase_if(decisions.unread, [&](const Decision& earlier) {
      return earlier.checksum == decided.decision.checksum;
    });
  }
  if (!decisions.unread.empty()) {
    observer.warn(fmt::format(
        "{} of the pictures that were decided earlier are gone or have changed, and judge nothing",
        decisions.unread.size()));
  }
  return decisions;
}

}  // namespace nagl::jobs
