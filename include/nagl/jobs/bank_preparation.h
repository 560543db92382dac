#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "nagl/core/json.h"
#include "nagl/dataset/pictures.h"
#include "nagl/detection/bank_builder.h"
#include "nagl/jobs/observer.h"
#include "nagl/jobs/remark_log.h"
#include "nagl/jobs/requests.h"
#include "nagl/jobs/runtime.h"

namespace nagl::jobs {

/// The pictures of a selection. @throws ConfigError if `method` has no use for some of them
BankPictures find_pictures(const PictureSelection& selection, Method method,
                           const JobObserver& observer);

/// Says that files were left out of pictures since they are masks, if there are any.
/// @param wanted whether they could be of use
void tell_masks_left_out(const std::vector<PictureFile>& masks, bool wanted,
                         const JobObserver& observer);

/// Says what comes of a method without pictures of defects. @throws ConfigError if it needs some
void check_pictures(const BankPictures& pictures, Method method, const JobObserver& observer);

/// Where to look in all of the pictures, upright as they are: a mask that fits the first good one.
/// @param roi a mask picture or a LabelMe file; empty: everywhere
/// @throws DataError if it marks nothing, or its proportions are others
cv::Mat read_roi(const std::filesystem::path& roi, const BankPictures& pictures,
                 const DecodeOptions& decode);

/// What method `auto` comes down to with so many pictures, and why; empty for other methods.
std::string explain_choice(const BankOptions& options, std::size_t good, std::size_t defects);

/// An empty bank for these pictures, with the model that its method needs. Says what `auto` comes
/// down to. @throws ConfigError if it needs a model and none is named, or the other way round
BankBuilder start_bank(const BankRequest& request, const BankPictures& pictures,
                       const RuntimeOptions& runtime, const JobObserver& observer);

/// The same with a backbone that is there.
/// @param batch_size views a backbone pass
/// @throws ConfigError too if another layer was asked for than the backbone was loaded for
BankBuilder start_bank(const BankRequest& request, const BankPictures& pictures,
                       const std::shared_ptr<const Backbone>& backbone, std::int64_t batch_size,
                       const JobObserver& observer);

/// The backbone for a bank, of its layer and image size. What was asked of reading alone
/// (`--max-pixels`), which no file keeps, goes into the bank.
/// @throws ModelError if the request says otherwise than the bank, or the backbone is another
PictureEncoder encoder_for(const std::filesystem::path& bank_path, Bank& bank,
                           const BankRequest& request, const RuntimeOptions& runtime,
                           const JobObserver& observer);

/// The same, of the precision that the bank was made with where none is asked for: for changing it.
PictureEncoder encoder_as_made(const std::filesystem::path& bank_path, Bank& bank,
                               BankRequest request, const RuntimeOptions& runtime,
                               const JobObserver& observer);

/// Where derived masks go: below a folder as their pictures lie below theirs.
struct DerivedMaskPlan {
  std::filesystem::path folder;                                   ///< empty: nowhere
  std::map<std::filesystem::path, std::filesystem::path> places;  ///< by picture, without extension
};

/// Of those in `pictures` alone.
/// @throws ConfigError if a mask is there already (somebody may have corrected it), or two pictures
///         would share one
DerivedMaskPlan plan_derived_masks(const PictureSelection& selection, const BankPictures& pictures,
                                   const std::filesystem::path& folder);

/// Reads and adds pictures. Derived masks, and in `check/` for each a picture to approve it by, are
/// written as planned; a message says so. @throws Error if it was stopped
void add_to_bank(BankBuilder& builder, const BankPictures& pictures,
                 const DerivedMaskPlan& derived_masks, RemarkLog& remarks,
                 const JobObserver& observer);

/// Pictures as JSON, for result files.
Json describe_pictures(const BankPictures& pictures);

}  // namespace nagl::jobs
