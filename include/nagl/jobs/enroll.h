#pragma once

#include <filesystem>

#include "nagl/detection/bank.h"
#include "nagl/jobs/bank_change.h"
#include "nagl/jobs/observer.h"
#include "nagl/jobs/requests.h"
#include "nagl/jobs/runtime.h"
#include "nagl/jobs/sharding.h"

namespace nagl::jobs {

/// What a bank's file is made of.
struct EnrollOptions {
  PictureSelection pictures;
  BankRequest request;
  std::filesystem::path roi;  ///< a mask: where to look in all pictures; empty: everywhere
  std::filesystem::path out;  ///< the bank's file
  std::filesystem::path derived_masks;  ///< folder; empty: the file's name with `-masks`
  bool add = false;                     ///< add to the bank that is there
  bool overwrite = false;               ///< replace it
  std::size_t keep = kKeptGenerations;  ///< generations of the file
  RuntimeOptions runtime;
  ShardRequest sharding;
};

/// What was made.
struct EnrollResult {
  std::size_t normal = 0, abnormal = 0;  ///< pictures in the bank
  std::int64_t patches = 0;              ///< normal ones
  Method method = Method::kAuto;
  double megabytes = 0;  ///< of the file
  double seconds = 0;
};

/// Encodes pictures once, into one file that holds all that scoring needs beside the backbone, or
/// adds to one: pictures that it holds already are left alone, and the answers are those of a bank
/// made at once. A calibration is void then.
/// @throws Error naming what is wrong; the file is then as it was
EnrollResult enroll(const EnrollOptions& options, const JobObserver& observer = {});

}  // namespace nagl::jobs
