#include "nagl/jobs/inspect.h"

#include <fmt/format.h>
#include <fmt/ostream.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <map>

#include "commands.h"
#include "console.h"
#include "exit_code.h"
#include "flags.h"
#include "nagl/core/error.h"
#include "picture_flags.h"

namespace nagl::apps {
namespace {

struct InspectFlags {
  std::filesystem::path path;
  std::optional<DatasetFormat> format;
  std::string modality = kUsualModality;
  DecodeOptions decode;
  std::optional<std::int64_t> max_pixels;
  bool json = false;
};

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

void print_weights(const Json& described) {
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
  std::string others;
  if (check.validation > 0) others += fmt::format("; validation {} good", check.validation);
  for (const auto& [split, count] : check.unlabelled) {
    others += fmt::format("; {} {} without truth", split, count);
  }
  fmt::print(std::cout, "{}\n  train {} good; test {}{}\n  pictures: {}\n", check.name, check.train,
             types, others, sizes);
  for (const auto& finding : check.findings) {
    const std::string path = finding.path.string();
    const bool named = finding.detail.find(path) != std::string::npos;
    fmt::print(std::cout, "  {}: {}{}\n", finding.kind, named ? "" : path + ": ", finding.detail);
  }
}

void print_dataset(const std::filesystem::path& path, const jobs::DatasetInspection& found) {
  fmt::print(std::cout, "{}: layout {}, {} categories\n\n", path.string(), to_string(found.format),
             found.categories.size());
  std::map<std::string, std::int64_t> kinds;
  for (const auto& check : found.categories) {
    print_category(check);
    for (const auto& finding : check.findings) ++kinds[finding.kind];
  }
  std::string summary;
  for (const auto& [kind, count] : kinds) {
    summary += fmt::format("{}{} x {}", summary.empty() ? "" : ", ", count, kind);
  }
  fmt::print(std::cout, "\n{}\n", summary.empty() ? "nothing to remark" : summary);
}

int run_inspect(const InspectFlags& flags) {
  if (!jobs::is_dataset(flags.path)) {
    const Json described = jobs::inspect_weights(flags.path);
    if (flags.json) {
      fmt::print(std::cout, "{}\n", dump_json(described, 2));
    } else {
      print_weights(described);
    }
    return kSuccess;
  }
  DecodeOptions decode = flags.decode;
  decode.max_pixels = flags.max_pixels.value_or(decode.max_pixels);
  Console console;
  const auto found = jobs::inspect_dataset(flags.path, flags.format.value_or(DatasetFormat::kAuto),
                                           flags.modality, decode, console.observer());
  console.clear();
  if (flags.json) {
    fmt::print(std::cout, "{}\n", dump_json(found.json(flags.path), 2));
  } else {
    print_dataset(flags.path, found);
  }
  if (!found.complete) throw Error("interrupted; what was seen so far is printed");
  return found.broken ? kDataFailure : kSuccess;
}

}  // namespace

void add_inspect(CLI::App& app, int& exit_code) {
  auto flags = std::make_shared<InspectFlags>();
  auto* command = app.add_subcommand(
      "inspect",
      "Show what is in a file or a data set. Of a backbone, a trained model, a bank, a checkpoint "
      "or "
      "an entry of a feature store: tensors and their shapes, options, and where it came from. Of "
      "a "
      "data set: its layout, categories, defect types and picture sizes, missing or empty masks, "
      "masks of another size, and pictures that stand in train and test.\n\n"
      "  nagl inspect runs/source/model.safetensors\n"
      "  nagl inspect mvtec/");
  command->add_option("path", flags->path, "A safetensors file, a data set's folder or manifest")
      ->required();
  add_parsed_option(*command, "--format", flags->format,
                    "Layout of a data set: " + listed_names<DatasetFormat>() + " (default: auto)");
  command->add_option("--modality", flags->modality, "Of BraTS' volumes: flair, t1, t1ce or t2")
      ->capture_default_str();
  command
      ->add_option("--bit-depth", flags->decode.bit_depth,
                   "Bits a sample of 16-bit pictures really holds")
      ->capture_default_str();
  add_max_pixels_flag(*command, flags->max_pixels);
  command->add_flag("--json", flags->json, "Print JSON");
  command->callback([flags, &exit_code] { exit_code = run_inspect(*flags); });
}

}  // namespace nagl::apps
