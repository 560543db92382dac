#include <fmt/format.h>
#include <fmt/ostream.h>

#include <algorithm>
#include <iostream>

#include "commands.h"
#include "console.h"
#include "nagl/jobs/bank_change.h"
#include "picture_flags.h"

namespace nagl::apps {
namespace {

void print_bank(const Json& bank) {
  const auto text = [](const Json& value) { return value.get<std::string>(); };
  fmt::print(
      std::cout, "{}: {:.1f} MB, {} patches, method {}{}, {} layer {}\n", text(bank["file"]),
      bank["bytes"].get<double>() / 1e6, bank["patches"].get<std::int64_t>(), text(bank["method"]),
      bank["method"] == bank["scored_by"] ? "" : fmt::format(" ({})", text(bank["scored_by"])),
      text(bank["backbone"]), bank["layer"].get<std::int64_t>());
  if (bank.contains("roi")) fmt::print(std::cout, "looks at a region of interest\n");
  if (bank["calibration"].is_null()) {
    fmt::print(std::cout, "not calibrated\n");
  } else {
    fmt::print(std::cout, "anomalous above {:.4f}\n",
               bank["calibration"]["image_threshold"].get<double>());
  }
  fmt::print(std::cout, "{} pictures decided, {} earlier generations\n\n", bank["decisions"].size(),
             bank["generations"].get<std::size_t>());
  fmt::print(std::cout, "{:>4}  {:<8}  {:<10}  {:<12}  {:<20}  path\n", "", "part", "size",
             "checksum", "written");
  for (const auto& picture : bank["pictures"]) {
    const bool sized = picture.contains("width");
    fmt::print(std::cout, "{:>4}  {:<8}  {:<10}  {:<12}  {:<20}  {}\n",
               fmt::format("#{}", picture["number"].get<std::size_t>()), text(picture["part"]),
               sized
                   ? fmt::format("{}x{}", picture["width"].get<int>(), picture["height"].get<int>())
                   : "",
               text(picture["checksum"]).substr(0, 12), picture.value("modified", ""),
               picture.contains("pictures")
                   ? fmt::format("({} older pictures)", picture["pictures"].get<std::int64_t>())
                   : text(picture["path"]));
  }
}

void add_show(CLI::App& bank) {
  auto path = std::make_shared<std::filesystem::path>();
  auto json = std::make_shared<bool>(false);
  auto* command = bank.add_subcommand(
      "show", "The pictures of a bank, the part that each plays, its size and checksum");
  command->add_option("bank", *path, "A bank that nagl enroll wrote")->required();
  command->add_flag("--json", *json, "Print JSON");
  command->callback([path, json] {
    const Json described = jobs::describe_bank(*path);
    if (*json) {
      std::cout << dump_json(described, 2) << "\n";
    } else {
      print_bank(described);
    }
  });
}

void add_remove(CLI::App& bank) {
  auto options = std::make_shared<jobs::RemoveOptions>();
  auto* command = bank.add_subcommand(
      "remove",
      "Take pictures out of a bank: what is left is the bank that was never given them (of a "
      "thinned one nearly). A calibration is void then.\n\n"
      "  nagl bank remove part.safetensors good/017.png\n"
      "  nagl bank remove part.safetensors '#3' 5d41402a\n");
  command->add_option("bank", options->bank, "A bank that nagl enroll wrote")->required();
  command
      ->add_option("picture", options->pictures,
                   "Each by its path or the end of it, by eight digits or more of its checksum, or "
                   "by its number in nagl bank show")
      ->required();
  add_history_flag(*command, options->keep);
  add_runtime_flags(*command, options->runtime);
  command->callback([options] {
    Console console;
    const jobs::ChangeResult result = jobs::remove_pictures(*options, console.observer());
    console.clear();
    fmt::print(std::cout, "{}: {} removed, {} normal and {} abnormal left\n",
               options->bank.string(), result.pictures.size(), result.normal, result.abnormal);
  });
}

void add_history(CLI::App& bank) {
  auto path = std::make_shared<std::filesystem::path>();
  auto json = std::make_shared<bool>(false);
  auto* command = bank.add_subcommand("history", "What was done to a bank, the latest first");
  command->add_option("bank", *path, "A bank that nagl enroll wrote")->required();
  command->add_flag("--json", *json, "Print JSON");
  command->callback([path, json] {
    const auto generations = jobs::bank_history(*path);
    if (*json) {
      Json list = Json::array();
      for (const auto& generation : generations) {
        list.push_back({{"number", generation.number},
                        {"time", generation.time},
                        {"change", generation.change},
                        {"bytes", generation.bytes}});
      }
      std::cout << dump_json(list, 2) << "\n";
      return;
    }
    if (generations.empty()) fmt::print(std::cout, "{}: no changes\n", path->string());
    for (const auto& generation : generations) {
      fmt::print(std::cout, "{:>4}  {}  {}\n", generation.number, generation.time,
                 generation.change);
    }
  });
}

void add_undo(CLI::App& bank) {
  auto path = std::make_shared<std::filesystem::path>();
  auto steps = std::make_shared<std::size_t>(1);
  auto* command =
      bank.add_subcommand("undo",
                          "Put the bank back as it was before its last change, byte for "
                          "byte; nagl bank history lists them");
  command->add_option("bank", *path, "A bank that nagl enroll wrote")->required();
  command->add_option("--steps", *steps, "So many changes")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  command->callback([path, steps] {
    for (const auto& generation : jobs::undo_changes(*path, *steps)) {
      fmt::print(std::cout, "{}: undone: {} ({})\n", path->string(), generation.change,
                 generation.time);
    }
  });
}

void add_merge(CLI::App& bank) {
  auto options = std::make_shared<jobs::MergeOptions>();
  auto* command = bank.add_subcommand(
      "merge",
      "One bank of the pictures of several that were made with the same options; of copies the "
      "first. A calibration is void then.\n\n"
      "  nagl bank merge monday.safetensors tuesday.safetensors --out week.safetensors\n");
  command->add_option("banks", options->banks, "Banks that nagl enroll wrote")
      ->required()
      ->expected(2, 1000000);
  command->add_option("--out", options->out, "The bank of all of them")->required();
  command->add_flag("--overwrite", options->overwrite, "Replace the file that --out names");
  add_history_flag(*command, options->keep);
  add_runtime_flags(*command, options->runtime);
  command->callback([options] {
    Console console;
    const jobs::ChangeResult result = jobs::merge_banks(*options, console.observer());
    console.clear();
    fmt::print(std::cout, "{}: {} normal and {} abnormal pictures of {} banks\n",
               options->out.string(), result.normal, result.abnormal, options->banks.size());
  });
}

}  // namespace

void add_bank(CLI::App& app, int&) {
  auto* bank = app.add_subcommand(
      "bank",
      "Look into a bank and change it. Each change keeps what was before, in BANK.history/, as "
      "what the new one lacks.\n\n"
      "  nagl bank show part.safetensors\n"
      "  nagl bank remove part.safetensors good/017.png\n"
      "  nagl bank history part.safetensors\n"
      "  nagl bank undo part.safetensors\n"
      "  nagl bank merge one.safetensors two.safetensors --out both.safetensors\n");
  bank->require_subcommand(1);
  add_show(*bank);
  add_remove(*bank);
  add_history(*bank);
  add_undo(*bank);
  add_merge(*bank);
}

}  // namespace nagl::apps
