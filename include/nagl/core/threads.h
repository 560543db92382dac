#pragma once

#include <filesystem>
#include <optional>
#include <vector>

namespace nagl {

/// CPU threads that computing should have where nobody said: one a physical core among those that
/// this process may run on (two threads of one core share its arithmetic units, and wait for each
/// other), but not more than its control group's share of the processor. At least 1.
int sensible_threads();

/// Logical processors that this process may run on, but not more than its control group's share.
int usable_processors();

/// Physical cores among logical ones, as Linux describes them.
/// @param cpus `/sys/devices/system/cpu`, or a folder like it; cores that it does not describe
///        count one each
/// @param allowed numbers of the logical ones
int physical_cores(const std::filesystem::path& cpus, const std::vector<int>& allowed);

/// What a control group may use, in processors: of version 2 `cpu.max`, of version 1
/// `cpu/cpu.cfs_quota_us` and `cpu/cpu.cfs_period_us`. Empty: no limit.
/// @param groups `/sys/fs/cgroup`, or a folder like it
std::optional<double> processor_quota(const std::filesystem::path& groups);

}  // namespace nagl
