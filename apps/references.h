#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>

#include "nagl/core/progress.h"
#include "nagl/detection/bank.h"
#include "nagl/detection/bank_builder.h"
#include "reference_options.h"
#include "runtime.h"

namespace nagl::apps {

/// Warns of the first 16-bit picture that holds 12 bits, and counts the others.
class LowValueWarning {
 public:
  void see(const Image& image, Progress& progress);
  void finish() const;

 private:
  std::int64_t count_ = 0;
};

/// What the arguments ask for, where they do; the rest is the default. @throws ConfigError
DetectorOptions detector_options(const ReferenceArguments& arguments, ImageSize image_size);

/// The pictures that the arguments name. @throws ConfigError if `method` has no use for them, or
/// needs some that are not there
ReferencePaths find_references(const ReferenceArguments& arguments, Method method);

/// Says what comes of a method without pictures of defects. @throws ConfigError if it needs some
void check_references(const ReferencePaths& references, Method method);

/// A bank in the making.
struct NewBank {
  Runtime runtime;
  BankBuilder builder;
};
/// An empty one, with the model that its method needs. @throws ConfigError if it needs one and none
/// is named, or the other way round
NewBank start_bank(const ReferenceArguments& arguments, RuntimeOptions runtime);

/// The runtime for a bank: its layer and image size.
/// @throws ModelError if an argument that is set says otherwise than the bank
Runtime start_runtime_for(const std::filesystem::path& bank_path, const Bank& bank,
                          const ReferenceArguments& arguments, RuntimeOptions runtime);

/// Where derived masks go: below a folder as their pictures lie below theirs.
struct DerivedMaskPlan {
  std::filesystem::path folder;                                   ///< empty: nowhere
  std::map<std::filesystem::path, std::filesystem::path> places;  ///< by picture, without extension
};

/// Of the pictures in `references` alone. @throws ConfigError if a mask is there already (somebody
/// may have corrected it), or two pictures
///         would share one
DerivedMaskPlan plan_derived_masks(const ReferenceArguments& arguments,
                                   const ReferencePaths& references,
                                   const std::filesystem::path& folder);

/// Reads and adds pictures, with progress. Derived masks, and in `check/` for each a picture to
/// approve it by, are written as planned; a message says so.
void add_references(BankBuilder& builder, const ReferencePaths& references,
                    const DerivedMaskPlan& derived_masks, LowValueWarning& low_values);

/// References as JSON, for result files.
Json describe_references(const ReferencePaths& references);

}  // namespace nagl::apps
