#include <algorithm>
#include <optional>
#include <sstream>

#include "nagl/core/atomic_file.h"
#include "nagl/core/csv.h"
#include "nagl/core/error.h"
#include "nagl/core/json.h"
#include "nagl/core/text.h"
#include "readers.h"

namespace nagl {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLargestFile = std::size_t{1} << 30;
constexpr const char* kFileNames[] = {"manifest.csv", "manifest.json"};
constexpr const char* kColumns[] = {"path", "label", "mask", "category", "type", "split"};

/// What a manifest says of one picture; empty where it says nothing.
struct Line {
  std::string place;  ///< of the line, for messages
  std::string path, label, category, type, split;
  std::vector<std::string> masks;
};

fs::path manifest_file(const fs::path& root) {
  if (!is_folder(root)) return root;
  for (const char* name : kFileNames) {
    if (is_file(root / name)) return root / name;
  }
  return root / kFileNames[0];
}

std::vector<std::string> split_list(const std::string& text) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, ';');) {
    if (!part.empty()) parts.push_back(part);
  }
  return parts;
}

std::vector<Line> read_lines_of_csv(const fs::path& file) {
  std::vector<Line> lines;
  for (const auto& row : read_csv(file, {"path"})) {
    for (const auto& [key, ignored] : row.fields) {
      if (std::find(std::begin(kColumns), std::end(kColumns), key) == std::end(kColumns)) {
        throw DataError("'" + file.string() + "' has a column '" + key +
                        "'; known are path, label, mask, category, type and split");
      }
    }
    lines.push_back({"line " + std::to_string(row.line), row.get("path"), row.get("label"),
                     row.get("category"), row.get("type"), row.get("split"),
                     split_list(row.get("mask"))});
  }
  return lines;
}

/// A JSON value as text: labels may be numbers or booleans.
std::string text_of(const Json& item, const char* key) {
  const auto found = item.find(key);
  if (found == item.end() || found->is_null()) return "";
  if (found->is_string()) return found->get<std::string>();
  if (found->is_boolean()) return found->get<bool>() ? "1" : "0";
  return found->dump();
}

std::vector<Line> read_lines_of_json(const fs::path& file) {
  Json json;
  try {
    json = parse_json(read_file(file, kLargestFile));
  } catch (const Json::exception& error) {
    throw DataError("'" + file.string() + "' is not JSON: " + error.what());
  }
  if (json.is_object() && json.contains("pictures")) json = json["pictures"];
  if (!json.is_array()) throw DataError("'" + file.string() + "' holds no list of pictures");
  std::vector<Line> lines;
  for (const auto& item : json) {
    const std::string place = "picture " + std::to_string(lines.size() + 1);
    if (!item.is_object()) {
      throw DataError("'" + file.string() + "', " + place + ": it is not an object with a path");
    }
    for (const auto& [key, ignored] : item.items()) {
      if (std::find(std::begin(kColumns), std::end(kColumns), key) == std::end(kColumns)) {
        throw DataError("'" + file.string() + "', " + place + ": unknown key '" + key +
                        "'; known are path, label, mask, category, type and split");
      }
    }
    Line line{place,
              text_of(item, "path"),
              text_of(item, "label"),
              text_of(item, "category"),
              text_of(item, "type"),
              text_of(item, "split"),
              {}};
    const auto mask = item.find("mask");
    if (mask != item.end() && mask->is_array()) {
      for (const auto& one : *mask) {
        if (!one.is_string()) {
          throw DataError("'" + file.string() + "', " + place + ": a mask is not a path");
        }
        line.masks.push_back(one.get<std::string>());
      }
    } else {
      line.masks = split_list(text_of(item, "mask"));
    }
    lines.push_back(std::move(line));
  }
  return lines;
}

/// What a label says, in any case; nothing for an unknown word.
std::optional<bool> is_good_label(const std::string& label) {
  constexpr const char* kGoodLabels[] = {"0", "0.0", "false"};
  constexpr const char* kBadLabels[] = {"1",   "1.0",     "true",      "defect",   "defective",
                                        "bad", "anomaly", "anomalous", "abnormal", "ng"};
  const std::string lower = lower_case(label);
  const auto among = [&](const auto& words) {
    return std::find(std::begin(words), std::end(words), lower) != std::end(words);
  };
  if (is_good_name(label) || among(kGoodLabels)) return true;
  return among(kBadLabels) ? std::optional(false) : std::nullopt;
}

/// The defect type that label and type tell; `good` if there is none.
std::string defect_of(const Line& line, const fs::path& file) {
  const auto fail = [&](const std::string& why) {
    throw DataError("'" + file.string() + "', " + line.place + ": " + why);
  };
  if (line.label.empty() && line.type.empty()) fail("it has neither a label nor a type");
  bool good = is_good_name(line.type);
  if (!line.label.empty()) {
    const auto said = is_good_label(line.label);
    if (!said) {
      fail("label '" + line.label +
           "' is neither good (normal, ok, 0, false) nor defect (bad, anomaly, 1, true); the kind "
           "of "
           "defect goes into type");
    }
    if (!line.type.empty() && good != *said) {
      fail("label '" + line.label + "' and type '" + line.type + "' contradict each other");
    }
    good = *said;
  }
  if (good) return kGood;
  return line.type.empty() ? kUntypedDefect : line.type;
}

}  // namespace

bool is_manifest(const fs::path& root) {
  const fs::path file = manifest_file(root);
  return is_file(file) && (file.extension() == ".csv" || file.extension() == ".json");
}

std::vector<Category> read_manifest(const fs::path& root) {
  const fs::path file = manifest_file(root), folder = fs::absolute(file).parent_path();
  const auto lines =
      file.extension() == ".json" ? read_lines_of_json(file) : read_lines_of_csv(file);
  CategoryCollector categories(folder);
  for (const auto& line : lines) {
    Sample sample;
    if (line.path.empty()) {
      throw DataError("'" + file.string() + "', " + line.place + ": it has no path");
    }
    sample.path = listed_path(folder, line.path);
    check_listed(file, sample.path);
    sample.defect = defect_of(line, file);
    if (sample.anomalous()) {
      for (const auto& mask : line.masks) {
        sample.masks.push_back(listed_path(folder, mask));
        check_listed(file, sample.masks.back());
      }
    }
    const bool train = line.split == "train";
    if (!train && !line.split.empty() && line.split != "test") {
      throw DataError("'" + file.string() + "', " + line.place + ": split '" + line.split +
                      "' is neither train nor test");
    }
    if (train && sample.anomalous()) {
      throw DataError("'" + file.string() + "', " + line.place +
                      ": a defective picture in the training split; training uses good ones");
    }
    categories.add(line.category.empty() ? name_of(folder) : line.category, train,
                   std::move(sample));
  }
  return categories.take(file);
}

}  // namespace nagl
