#pragma once

#include <functional>
#include <optional>
#include <string>

namespace nagl {

/// Calls `work`, which is about one picture, so that the others can go on without it.
/// @return what OpenCV, Torch or memory could not do, as the rest of a sentence about the picture;
///         nothing if all went well
/// @throws what else `work` throws
std::optional<std::string> failure_of(const std::function<void()>& work);

}  // namespace nagl
