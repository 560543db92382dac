#pragma once

#include <filesystem>
#include <vector>

#include "nagl/core/torch.h"
#include "nagl/detection/bank.h"
#include "nagl/encoding/picture_encoder.h"
#include "nagl/jobs/feedback.h"

namespace nagl::jobs {

/// A picture that somebody decided, now or earlier.
struct Decided {
  Decision decision;
  std::filesystem::path mask;  ///< of a bad one; empty: none is given
  bool fresh = false;
  EnrolledPicture enrolled;
  std::vector<at::Tensor> features;  ///< by tile
};

/// What is decided: pictures that could be read, and earlier decisions of those that could not.
struct Decisions {
  std::vector<Decided> read;
  std::vector<Decision> unread;
};

/// Pictures as they were named or saved by a report, with masks for the bad ones where there are
/// any.
/// @throws Error naming what is wrong with options, files or masks; ConfigError if there are none
std::vector<Decided> asked_decisions(const FeedbackOptions& options, const JobObserver& observer);

/// Reads what was decided: earlier decisions, then the new ones. The last word on a picture counts.
/// @throws DataError naming a new picture that cannot be read
Decisions gather(const Bank& bank, std::vector<Decided> asked, const PictureEncoder& encoder,
                 const JobObserver& observer);

}  // namespace nagl::jobs
