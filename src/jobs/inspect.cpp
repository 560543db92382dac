#include "nagl/jobs/inspect.h"

#include <c10/core/ScalarType.h>

#include <functional>
#include <numeric>

#include "nagl/model/weights.h"

namespace nagl::jobs {
namespace {

/// A metadata text that is JSON itself is shown as such.
Json value_of(const std::string& text) {
  const bool nested = text.starts_with('{') || text.starts_with('[');
  return (nested ? try_parse_json(text) : std::nullopt).value_or(Json(text));
}

std::int64_t count_of(const WeightsFile::Entry& entry) {
  return std::accumulate(entry.shape.begin(), entry.shape.end(), std::int64_t{1},
                         std::multiplies<>());
}

Json describe(const CategoryCheck& check) {
  Json findings = Json::array();
  for (const auto& finding : check.findings) {
    findings.push_back(
        {{"kind", finding.kind}, {"path", finding.path.string()}, {"detail", finding.detail}});
  }
  return {{"name", check.name},
          {"train", check.train},
          {"test", check.test},
          {"validation", check.validation},
          {"unlabelled", check.unlabelled},
          {"picture_sizes", check.picture_sizes},
          {"findings", findings}};
}

}  // namespace

bool is_dataset(const std::filesystem::path& path) {
  std::error_code error;
  return std::filesystem::is_directory(path, error) || path.extension() == ".csv" ||
         path.extension() == ".json";
}

Json inspect_weights(const std::filesystem::path& path) {
  const WeightsFile file(path);
  Json tensors = Json::array(), metadata = Json::object();
  std::int64_t values = 0;
  std::uint64_t bytes = 0;
  for (const auto& [name, entry] : file.entries()) {
    tensors.push_back({{"name", name},
                       {"type", c10::toString(entry.dtype)},
                       {"shape", entry.shape},
                       {"bytes", entry.size}});
    values += count_of(entry);
    bytes += entry.size;
  }
  for (const auto& [key, text] : file.metadata()) metadata[key] = value_of(text);
  return {{"file", file.path().string()},
          {"checksum", file.checksum()},
          {"values", values},
          {"bytes", bytes},
          {"metadata", metadata},
          {"tensors", tensors}};
}

Json DatasetInspection::json(const std::filesystem::path& path) const {
  Json all = Json::array();
  for (const auto& check : categories) all.push_back(describe(check));
  return {{"path", path.string()}, {"format", to_string(format)}, {"categories", all}};
}

DatasetInspection inspect_dataset(const std::filesystem::path& path, DatasetFormat format,
                                  const std::string& modality, const DecodeOptions& decode,
                                  const JobObserver& observer) {
  decode.check();
  const Dataset dataset = read_dataset(path, format, modality);
  DatasetInspection inspection;
  inspection.format = dataset.format;
  bool stopped = false;
  inspection.categories = check_dataset(
      dataset, decode,
      [&](std::int64_t done, std::int64_t total) {
        observer.advance("looking at pictures", done, total);
      },
      [&] { return stopped = observer.stopped(); });
  inspection.complete = !stopped;
  for (const auto& check : inspection.categories) {
    inspection.broken |= check.count("broken picture") > 0 || check.count("broken mask") > 0;
  }
  return inspection;
}

}  // namespace nagl::jobs
