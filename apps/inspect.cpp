#include <c10/core/ScalarType.h>
#include <fmt/format.h>
#include <fmt/ostream.h>
#include <fmt/ranges.h>

#include <filesystem>
#include <iostream>
#include <numeric>

#include "commands.h"
#include "nagl/core/json.h"
#include "nagl/model/weights.h"

namespace nagl::apps {
namespace {

struct InspectArguments {
  std::filesystem::path file;
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

void run_inspect(const InspectArguments& arguments) {
  const Json described = describe(WeightsFile(arguments.file));
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

}  // namespace

void add_inspect(CLI::App& app, int&) {
  auto arguments = std::make_shared<InspectArguments>();
  auto* command = app.add_subcommand(
      "inspect",
      "Show what is in a backbone, a trained model, a checkpoint or an entry of a feature store: "
      "tensors and their shapes, options, and where it came from.\n\n"
      "  nagl inspect runs/source/model.safetensors");
  command->add_option("file", arguments->file, "A safetensors file")->required();
  command->add_flag("--json", arguments->json, "Print JSON");
  command->callback([arguments] { run_inspect(*arguments); });
}

}  // namespace nagl::apps
