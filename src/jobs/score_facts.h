#pragma once

#include <optional>
#include <vector>

#include "nagl/core/json.h"
#include "nagl/detection/detector.h"
#include "nagl/evaluation/score_report.h"
#include "nagl/image/overlay.h"
#include "nagl/jobs/bank_preparation.h"
#include "nagl/jobs/score.h"

namespace nagl::jobs {

/// What `run.json` says of a run, but for its summary.
Json describe_run(const ScoreOptions& options, const BankPictures& references,
                  const Detector& detector, const std::optional<ColourScale>& scale);

/// Writes `report.html`. @param summary as in `run.json`
void write_report(const OutputPlan& plan, std::vector<ReportPicture> pictures,
                  const Detector& detector, const Json& summary);

}  // namespace nagl::jobs
