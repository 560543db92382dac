#pragma once

namespace nagl::apps {

/// Exit codes of the executable (see also `main.cpp`, which maps exceptions to them).
enum ExitCode {
  kSuccess = 0,
  kFailure = 1,
  kConfigFailure = 2,
  kDataFailure = 3,
  kModelFailure = 4,
  kDeviceFailure = 5,
  kAnomalyFound = 10,  ///< `nagl score --fail-on-anomaly`
  kNotKept = 11,       ///< `nagl feedback`: the change would make known decisions worse
};

}  // namespace nagl::apps
