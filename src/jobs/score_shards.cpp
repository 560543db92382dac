#include "score_shards.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "nagl/core/atomic_file.h"
#include "nagl/core/error.h"
#include "nagl/core/file_part.h"
#include "nagl/core/options.h"
#include "nagl/core/sha256.h"

namespace nagl::jobs {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLargestPart = std::size_t{1} << 32;

/// Pictures of a part: few enough that all processes have work, many enough that claims are not.
std::size_t pictures_of_part(std::size_t all) {
  constexpr std::size_t kParts = 64, kMost = 32;
  return std::clamp<std::size_t>(all / kParts, 1, kMost);
}

/// Places of the pictures of each part, by its name. What is of one file, as a volume's slices are,
/// is of one part.
std::map<std::string, std::vector<std::size_t>> parts_of(const std::vector<QueryFile>& queries) {
  const std::size_t size = pictures_of_part(queries.size());
  std::map<std::string, std::vector<std::size_t>> parts;
  std::map<fs::path, std::string> homes;  // of files of several pictures
  std::string last;
  for (std::size_t i = 0; i < queries.size(); ++i) {
    const fs::path& path = queries[i].file.path;
    const fs::path file = file_of(path);
    std::string home = file != path && homes.contains(file) ? homes.at(file) : last;
    if (home.empty() || (home == last && parts.at(home).size() >= size && !homes.contains(file))) {
      home = last = fmt::format("{:08}", parts.size());
    }
    if (file != path) homes.emplace(file, home);
    parts[home].push_back(i);
  }
  return parts;
}

Json json_of(const ReportPicture& picture) {
  const auto bytes = [](const std::string& jpeg) {
    return Json::binary(std::vector<std::uint8_t>(jpeg.begin(), jpeg.end()));
  };
  return {{"path", picture.path},
          {"source", picture.source},
          {"width", picture.size.width},
          {"height", picture.size.height},
          {"score", picture.score},
          {"verdict", to_string(picture.verdict)},
          {"regions", picture.regions},
          {"label", picture.label},
          {"error", picture.error},
          {"overlay", picture.overlay},
          {"thumbnail", bytes(picture.thumbnail)},
          {"shown", bytes(picture.shown)}};
}

ReportPicture report_picture_of(const Json& json) {
  const auto text = [&](const char* key) { return json.at(key).get<std::string>(); };
  const auto bytes = [&](const char* key) {
    const auto& binary = json.at(key).get_binary();
    return std::string(binary.begin(), binary.end());
  };
  ReportPicture picture;
  picture.path = text("path");
  picture.source = text("source");
  picture.size = {json.at("width").get<int>(), json.at("height").get<int>()};
  picture.score = json.at("score").get<double>();
  parse(text("verdict"), picture.verdict);
  picture.regions = json.at("regions").get<std::size_t>();
  picture.label = text("label");
  picture.error = text("error");
  picture.overlay = text("overlay");
  picture.thumbnail = bytes("thumbnail");
  picture.shown = bytes("shown");
  return picture;
}

}  // namespace

ScoreShards::ScoreShards(const ScoreOptions& options, const OutputPlan& plan,
                         const JobObserver& observer)
    : plan_(plan),
      scale_(options.scale),
      merge_(options.sharding.merge),
      job_(plan.out / ".shards", options.sharding, observer) {
  if (plan.out.empty()) throw ConfigError("--shard needs --out, a folder that all shards see");
  if (options.overwrite) {
    throw ConfigError(
        "--shard does not go with --overwrite: shards cannot tell whose files to replace; give a "
        "new folder with --out");
  }
}

void ScoreShards::assign(std::vector<QueryFile>& queries) const {
  std::error_code error;
  // Somebody took the results away.
  if (job_.finished() && !fs::exists(plan_.run(), error)) fs::remove_all(job_.folder(), error);
  const auto begun = [&] { return fs::exists(record(), error); };
  if (!begun()) {
    std::vector<QueryFile> fresh = queries;
    try {
      plan_.assign(fresh, false);
      queries = std::move(fresh);
      return;
    } catch (const ConfigError&) {
      if (!begun()) throw;  // else another shard has begun meanwhile
    }
  }
  plan_.assign(queries, true);
}

void ScoreShards::begin(const Json& run, const std::vector<QueryFile>& queries) const {
  Json identity = run;
  for (const char* harmless : {"threads", "batch_size", "device", "colour_scale"}) {
    identity.erase(harmless);
  }
  if (identity.contains("backbone")) identity["backbone"].erase("path");
  Sha256 paths;
  for (const auto& query : queries) {
    paths.update(query.file.path.string());
    paths.update("\n");
  }
  identity["outputs"] = {{"overlays", plan_.overlays},
                         {"report", plan_.report},
                         {"sorted", plan_.sort},
                         {"masks", plan_.masks.string()},
                         {"scale", to_string(scale_)}};
  identity["pictures"] = queries.size();
  identity["pictures_checksum"] = paths.hex();
  std::error_code error;
  if (!fs::exists(record(), error)) {
    if (!merge_) write_file(record(), dump_json(identity, 2) + "\n");
    return;
  }
  constexpr std::size_t kLargestRecord = std::size_t{1} << 30;
  const Json earlier = try_parse_json(read_file(record(), kLargestRecord)).value_or(Json());
  const Json now = try_parse_json(dump_json(identity)).value_or(Json());
  const auto differing = differing_options(earlier, now);
  if (differing.empty()) return;
  throw ConfigError(fmt::format("the shards in '{}' score with another {}; give another --out",
                                plan_.out.string(), fmt::join(differing, ", ")));
}

bool ScoreShards::score(
    const std::vector<QueryFile>& queries,
    const std::function<std::optional<Part>(const std::vector<QueryFile>&)>& score) const {
  const auto parts = parts_of(queries);
  std::vector<std::string> units;
  for (const auto& [unit, pictures] : parts) units.push_back(unit);
  const auto done = [&](const std::string& unit) {
    std::error_code error;
    return fs::exists(part(unit), error);
  };
  return job_.work(units, done, [&](const std::string& unit) {
    job_.restart();
    std::vector<QueryFile> pictures;
    for (const auto place : parts.at(unit)) pictures.push_back(queries[place]);
    const auto scored = score(pictures);
    if (!scored) return false;
    Json kept = {{"records", Json::array()}, {"report", Json::array()}};
    for (const auto& record : scored->records) kept["records"].push_back(record.json());
    for (const auto& picture : scored->report) kept["report"].push_back(json_of(picture));
    const std::vector<std::uint8_t> bytes = Json::to_cbor(kept);
    write_file(part(unit), {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    return true;
  });
}

ScoreShards::Part ScoreShards::gather(const std::vector<QueryFile>& queries) const {
  Part all;
  all.records.resize(queries.size());
  std::map<std::size_t, ReportPicture> report;
  for (const auto& [unit, places] : parts_of(queries)) {
    const std::string bytes = read_file(part(unit), kLargestPart);
    try {
      const Json kept = Json::from_cbor(bytes);
      const Json& pictures = kept.at("report");
      for (std::size_t i = 0; i < places.size(); ++i) {
        const std::size_t place = places[i];
        all.records[place] = record_from_json(kept.at("records").at(i), queries[place]);
        if (!pictures.empty()) report.emplace(place, report_picture_of(pictures.at(i)));
      }
    } catch (const std::exception&) {
      throw DataError(
          fmt::format("'{}' is damaged; remove it, and start a shard again", part(unit).string()));
    }
  }
  for (auto& [place, picture] : report) {
    all.report.push_back(std::move(picture));
    keep_hottest_overlays(all.report);
  }
  return all;
}

bool ScoreShards::finish(const std::function<void()>& step) const {
  return job_.finish(step).has_value();
}

}  // namespace nagl::jobs
