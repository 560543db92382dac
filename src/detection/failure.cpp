#include "nagl/detection/failure.h"

#include <c10/util/Exception.h>

#include <new>
#include <opencv2/core.hpp>

namespace nagl {

std::optional<std::string> failure_of(const std::function<void()>& work) {
  try {
    work();
    return std::nullopt;
  } catch (const cv::Exception& error) {
    return "could not be scored: " + error.err;
  } catch (const c10::Error& error) {
    const std::string why = error.what_without_backtrace();
    return "could not be scored: " + why.substr(0, why.find('\n'));
  } catch (const std::bad_alloc&) {
    return "needs more memory than there is; scale it down";
  }
}

}  // namespace nagl
