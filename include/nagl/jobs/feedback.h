#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "nagl/detection/bank.h"
#include "nagl/detection/verdict.h"
#include "nagl/jobs/bank_change.h"
#include "nagl/jobs/observer.h"
#include "nagl/jobs/requests.h"
#include "nagl/jobs/runtime.h"

namespace nagl::jobs {

/// What somebody says of pictures that a bank scored.
struct FeedbackOptions {
  std::filesystem::path bank;
  std::vector<std::filesystem::path> good, bad;  ///< files and folders
  std::filesystem::path masks;                   ///< of the bad ones; empty: they are derived
  std::filesystem::path decisions;               ///< JSON that a report saved; empty: none
  /// Choose thresholds by this rule from now on, once a defect is known; null: as they were chosen.
  std::optional<ThresholdRule> rule;
  /// Of a good picture that was called anomalous only the patches that made it so are learnt: the
  /// bank grows little, and is thinned from then on.
  bool hot_patches = false;
  bool force = false;  ///< keep a change that makes earlier decisions worse
  std::size_t keep = kKeptGenerations;
  EncodingRequest encoding;  ///< must agree with the bank; its precision may be another
  RuntimeOptions runtime;
};

/// A picture that was decided, and what the bank says of it. A picture that the bank holds is
/// scored with itself left out; the only one of its kind cannot be scored then.
struct JudgedPicture {
  std::string path;
  bool anomalous = false;                           ///< by decision
  bool learnt = false;                              ///< it came into the bank now
  std::optional<double> score_before, score_after;  ///< as users see them
  Verdict before = Verdict::kUnknown, after = Verdict::kUnknown;

  bool right_before() const { return is_right(before); }
  bool right_after() const { return is_right(after); }

 private:
  bool is_right(Verdict verdict) const {
    return verdict == (anomalous ? Verdict::kAnomalous : Verdict::kNormal);
  }
};

/// What came of it.
struct FeedbackResult {
  std::vector<JudgedPicture> pictures;  ///< all that were decided so far, the latest last
  std::size_t references = 0;           ///< good pictures that came into the bank
  std::size_t defects = 0;              ///< bad ones
  std::size_t corrected = 0;  ///< pictures that went out, since they were in it as the opposite
  std::size_t worse = 0;  ///< earlier decisions that the bank was right about, and is not any more
  bool changed = false;   ///< whether there was anything to learn
  bool kept = false;      ///< whether the bank's file has it
  std::optional<Calibration> calibration;  ///< the new one, as users see it

  Json json() const;
};

/// Makes a bank learn from its mistakes: a good picture that it does not call normal becomes a
/// reference, a bad one that it does not call anomalous a picture of a defect (without a
/// calibration each does), and one that it holds as the opposite goes out first. What it is right
/// about is remembered, and judges later changes. Thresholds are chosen again by the bank's
/// references, unless they were chosen by other pictures. A change after which the bank is wrong
/// about any decision that it was right about is not kept, unless it is forced.
/// @throws Error naming what is wrong; the file is then as it was
FeedbackResult give_feedback(const FeedbackOptions& options, const JobObserver& observer = {});

}  // namespace nagl::jobs
