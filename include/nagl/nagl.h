#pragma once

/// The public interface: all that an application needs to find defects in pictures. Everything
/// throws `nagl::Error`. `examples/` has whole programs; what the command line does as a whole
/// (scoring folders, trainings, evaluations) stands in `nagl/jobs/`.

#include "nagl/core/device.h"
#include "nagl/core/error.h"
#include "nagl/core/version.h"
#include "nagl/detection/bank.h"
#include "nagl/detection/bank_builder.h"
#include "nagl/detection/calibration.h"
#include "nagl/detection/calibrator.h"
#include "nagl/detection/detector.h"
#include "nagl/detection/reference_scale.h"
#include "nagl/detection/verdict.h"
#include "nagl/encoding/picture_encoder.h"
#include "nagl/image/anomaly_map.h"
#include "nagl/image/image.h"
#include "nagl/image/overlay.h"
#include "nagl/model/backbone.h"
#include "nagl/model/reference_bank.h"
#include "nagl/model/trained_head.h"
