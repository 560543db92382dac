#pragma once

#include <string>
#include <vector>

#include "nagl/encoding/picture_encoder.h"
#include "nagl/jobs/observer.h"
#include "nagl/jobs/sharding.h"
#include "nagl/training/feature_store.h"
#include "nagl/training/source.h"

namespace nagl::jobs {

/// What an encoder's features are stored as. Keys are those of nagl 0.1, whose stores still serve.
/// @param store how features are stored
FeatureFormat store_format(const PictureEncoder& encoder, const FeatureStoreOptions& store);

/// Brings all pictures into the store: what is there and undamaged is kept, the rest is encoded.
/// @param sharding with other processes that bring the same pictures into the same store
/// @return their keys, in the order of `pictures`; empty if it was stopped
/// @throws DataError if the disk has less room than that takes, or a picture cannot be read
std::vector<std::string> encode_source(FeatureStore& store,
                                       const std::vector<SourcePicture>& pictures,
                                       const PictureEncoder& encoder,
                                       const JobObserver& observer = {},
                                       const ShardRequest& sharding = {});

}  // namespace nagl::jobs
