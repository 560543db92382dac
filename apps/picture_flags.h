#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "flags.h"
#include "nagl/jobs/requests.h"

namespace nagl::apps {

/// `add_backbone_flags` into a request.
void add_backbone_flags(CLI::App& command, jobs::RuntimeOptions& runtime,
                        jobs::EncodingRequest& encoding);

/// Adds `--normal`, `--abnormal`, `--masks` and the numbers of shots.
void add_picture_flags(CLI::App& command, jobs::PictureSelection& pictures);

/// Adds `--max-pixels`.
void add_max_pixels_flag(CLI::App& command, std::optional<std::int64_t>& max_pixels);

/// Adds `--augment-references`, `--coreset` and how references become scores.
void add_reference_flags(CLI::App& command, jobs::ReferenceRequest& request);

/// Adds `--tile` and `--overlap`.
void add_tiling_flags(CLI::App& command, jobs::EncodingRequest& encoding);

/// Adds all that describes a new bank beside its pictures: method, model, angles, coreset, tiles.
void add_bank_flags(CLI::App& command, jobs::BankRequest& request);

/// Adds `--config`, `--set` and `--print-options`. @param config_example, setting_example for help
void add_experiment_flags(CLI::App& command, std::filesystem::path& config,
                          std::vector<std::string>& settings, const std::string& config_example,
                          const std::string& setting_example);

}  // namespace nagl::apps
