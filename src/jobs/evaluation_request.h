#pragma once

#include "nagl/jobs/evaluate_on.h"

namespace nagl::jobs {

/// How references count in an evaluation.
BankOptions bank_options(const TargetOptions& target);

/// The options of an evaluation: those of its file, then what was asked for, then the settings.
/// @throws ConfigError on what makes no sense
ExperimentOptions resolve(const EvaluateRequest& request);

/// SHA-256 of the paths and contents of all pictures, masks and regions of interest: whether they
/// are still the same ones. @throws Error if it was stopped
std::string files_checksum(const Dataset& dataset, const std::filesystem::path& roi,
                           const JobObserver& observer);

}  // namespace nagl::jobs
