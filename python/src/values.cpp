#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>

#include <opencv2/core.hpp>
#include <vector>

#include "bind.h"

namespace nagl::python {
namespace {

/// An array over memory that `Owner`, a copy that shares it, keeps.
template <typename Sample, typename Owner>
nb::object array_over(Sample* data, const std::vector<std::size_t>& shape, const Owner& owner) {
  const nb::capsule keeper(new Owner(owner),
                           [](void* kept) noexcept { delete static_cast<Owner*>(kept); });
  return nb::cast(nb::ndarray<nb::numpy, Sample>(data, shape.size(), shape.data(), keeper));
}

}  // namespace

nb::object to_python(const Json& json) {
  return nb::module_::import_("json").attr("loads")(dump_json(json));
}

nb::object as_array(const cv::Mat& matrix) {
  const cv::Mat whole = matrix.isContinuous() ? matrix : matrix.clone();
  const std::vector<std::size_t> shape = {static_cast<std::size_t>(whole.rows),
                                          static_cast<std::size_t>(whole.cols)};
  if (whole.type() == CV_32F) return array_over(reinterpret_cast<float*>(whole.data), shape, whole);
  return array_over(whole.data, shape, whole);
}

nb::object as_array(const at::Tensor& values) {
  const at::Tensor whole = values.contiguous();
  const std::vector<std::size_t> shape(whole.sizes().begin(), whole.sizes().end());
  return array_over(whole.data_ptr<float>(), shape, whole);
}

}  // namespace nagl::python
