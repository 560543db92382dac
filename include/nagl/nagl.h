#pragma once

/// All that an application needs to find defects in pictures:
///
///     auto backbone = std::make_shared<nagl::Backbone>(nagl::find_backbone({}),
///     nagl::BackboneOptions()); nagl::Detector detector(backbone, nagl::make_bank(backbone,
///     {{"good1.png", "good2.png"}, {}}, {})); nagl::Detection seen =
///     detector.detect(nagl::read_image("new.png"));
///     // seen.image_score, seen.map; of a calibrated bank seen.verdict, seen.regions too
///
/// or, with a file that `nagl enroll` (or `save_bank`) wrote, `nagl::load_bank("part.safetensors",
/// backbone->device())` in place of `make_bank`. Everything throws `nagl::Error`.

#include "nagl/core/device.h"
#include "nagl/core/error.h"
#include "nagl/core/version.h"
#include "nagl/detection/bank.h"
#include "nagl/detection/bank_builder.h"
#include "nagl/detection/calibration.h"
#include "nagl/detection/detector.h"
#include "nagl/detection/reference_scale.h"
#include "nagl/image/anomaly_map.h"
#include "nagl/image/image.h"
#include "nagl/image/overlay.h"
#include "nagl/model/backbone.h"
#include "nagl/model/reference_bank.h"
#include "nagl/model/trained_head.h"
