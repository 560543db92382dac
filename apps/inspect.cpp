#include <c10/core/ScalarType.h>
#include <fmt/format.h>
#include <fmt/ostream.h>
#include <fmt/ranges.h>

#include <filesystem>
#include <iostream>
#include <numeric>

#include "commands.h"
#include "exit_code.h"
#include "interrupt.h"
#include "nagl/core/error.h"
#include "nagl/core/json.h"
#include "nagl/core/progress.h"
#include "nagl/dataset/dataset_check.h"
#include "nagl/model/weights.h"

namespace nagl::apps {
namespace {

struct InspectArguments {
  std::filesystem::path path;
  std::optional<std::string> format;
  DecodeOptions decode;
  bool json = false;
};

/// A metadata text that is JSON itself is shown as such.
Json value_of(const std::string& text) {
  const bool nested = text.starts_with('{') || text.starts_with('[');
  Json value = nested ? Json::parse(text, nullptr, /*allow_exceptions=*/false) : Json(text);
  return value.is_discarded() ? Json(text) : value;
}

std::int64_t count_of(const WeightsFile::Entry& entry) {
  return std::accumulate(entry.shape.begin(), entry.shape.end(), std::int64_t{1},
                         std::multiplies<>());
}

Json describe(const WeightsFile& file) {
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

void print_indented(const std::string& key, const Json& value, int depth) {
  const std::string margin(static_cast<std::size_t>(2 * depth), ' ');
  if (value.is_object()) {
    fmt::print(std::cout, "{}{}:\n", margin, key);
    for (const auto& [inner, inner_value] : value.items()) {
      print_indented(inner, inner_value, depth + 1);
    }
  } else if (value.is_array() && !value.empty() && value.front().is_object()) {
    for (std::size_t i = 0; i < value.size(); ++i) {
      print_indented(fmt::format("{} {}", key, i + 1), value[i], depth);
    }
  } else {
    fmt::print(std::cout, "{}{}: {}\n", margin, key,
               value.is_string() ? value.get<std::string>() : dump_json(value));
  }
}

void print_weights(const InspectArguments& arguments) {
  const Json described = describe(WeightsFile(arguments.path));
  if (arguments.json) {
    fmt::print(std::cout, "{}\n", dump_json(described, 2));
    return;
  }
  fmt::print(std::cout, "{}\n", described["file"].get<std::string>());
  for (const auto& [key, value] : described["metadata"].items()) print_indented(key, value, 1);
  fmt::print(std::cout, "  checksum of the tensors: {}\n\n",
             described["checksum"].get<std::string>());
  std::size_t widest = 6;
  for (const auto& tensor : described["tensors"]) {
    widest = std::max(widest, tensor["name"].get<std::string>().size());
  }
  fmt::print(std::cout, "{:<{}}  {:<9} shape\n", "tensor", widest, "type");
  for (const auto& tensor : described["tensors"]) {
    fmt::print(std::cout, "{:<{}}  {:<9} {}\n", tensor["name"].get<std::string>(), widest,
               tensor["type"].get<std::string>(), dump_json(tensor["shape"]));
  }
  fmt::print(std::cout, "\n{} tensors, {} values, {:.2f} MB\n", described["tensors"].size(),
             described["values"].get<std::int64_t>(),
             static_cast<double>(described["bytes"].get<std::uint64_t>()) / 1e6);
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
          {"picture_sizes", check.picture_sizes},
          {"findings", findings}};
}

void print_category(const CategoryCheck& check) {
  std::string types, sizes;
  for (const auto& [type, count] : check.test) {
    types += fmt::format("{}{} {}", types.empty() ? "" : ", ", count, type);
  }
  constexpr std::size_t kMostSizes = 4;
  std::size_t shown = 0;
  for (const auto& [size, count] : check.picture_sizes) {
    if (shown++ == kMostSizes) {
      sizes += fmt::format(" and {} more sizes", check.picture_sizes.size() - kMostSizes);
      break;
    }
    sizes += fmt::format("{}{} of {}", sizes.empty() ? "" : ", ", count, size);
  }
  fmt::print(std::cout, "{}\n  train {} good; test {}\n  pictures: {}\n", check.name, check.train,
             types, sizes);
  for (const auto& finding : check.findings) {
    fmt::print(std::cout, "  {}: {}: {}\n", finding.kind, finding.path.string(), finding.detail);
  }
}

/// Looks through a data set. @return the exit code
int check_data(const InspectArguments& arguments) {
  DatasetFormat format = DatasetFormat::kAuto;
  if (arguments.format) parse(*arguments.format, format);
  arguments.decode.check();
  const Dataset dataset = read_dataset(arguments.path, format);
  catch_interrupts();
  std::optional<Progress> progress;
  const auto checks = check_dataset(
      dataset, arguments.decode,
      [&](std::int64_t done, std::int64_t total) {
        if (!progress) progress.emplace("looking at pictures", total);
        progress->update(done);
      },
      interrupted);
  progress.reset();
  std::map<std::string, std::int64_t> kinds;
  for (const auto& check : checks) {
    for (const auto& finding : check.findings) ++kinds[finding.kind];
  }
  if (arguments.json) {
    Json categories = Json::array();
    for (const auto& check : checks) categories.push_back(describe(check));
    fmt::print(std::cout, "{}\n",
               dump_json({{"path", arguments.path.string()},
                          {"format", to_string(dataset.format)},
                          {"categories", categories}},
                         2));
  } else {
    fmt::print(std::cout, "{}: layout {}, {} categories\n\n", arguments.path.string(),
               to_string(dataset.format), dataset.categories.size());
    for (const auto& check : checks) print_category(check);
    std::string summary;
    for (const auto& [kind, count] : kinds) {
      summary += fmt::format("{}{} x {}", summary.empty() ? "" : ", ", count, kind);
    }
    fmt::print(std::cout, "\n{}\n", summary.empty() ? "nothing to remark" : summary);
  }
  if (interrupted()) throw Error("interrupted; what was seen so far is printed");
  return kinds.contains("broken picture") || kinds.contains("broken mask") ? kDataFailure
                                                                           : kSuccess;
}

/// A data set is a folder, or a list of pictures; anything else is taken for a weights file.
bool is_dataset(const std::filesystem::path& path) {
  std::error_code error;
  return std::filesystem::is_directory(path, error) || path.extension() == ".csv" ||
         path.extension() == ".json";
}

}  // namespace

void add_inspect(CLI::App& app, int& exit_code) {
  auto arguments = std::make_shared<InspectArguments>();
  auto* command = app.add_subcommand(
      "inspect",
      "Show what is in a file or a data set. Of a backbone, a trained model, a checkpoint or an "
      "entry of a feature store: tensors and their shapes, options, and where it came from. Of a "
      "data set: its layout, categories, defect types and picture sizes, missing or empty masks, "
      "masks of another size, and pictures that stand in train and test.\n\n"
      "  nagl inspect runs/source/model.safetensors\n"
      "  nagl inspect mvtec/");
  command
      ->add_option("path", arguments->path, "A safetensors file, a data set's folder or manifest")
      ->required();
  command->add_option(
      "--format", arguments->format,
      "Layout of a data set: auto, mvtec, visa, bmad, real_iad, folders or manifest "
      "(default: auto)");
  command
      ->add_option("--bit-depth", arguments->decode.bit_depth,
                   "Bits a sample of 16-bit pictures really holds")
      ->capture_default_str();
  command->add_flag("--json", arguments->json, "Print JSON");
  command->callback([arguments, &exit_code] {
    if (is_dataset(arguments->path)) {
      exit_code = check_data(*arguments);
    } else {
      print_weights(*arguments);
    }
  });
}

}  // namespace nagl::apps
