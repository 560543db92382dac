#include <c10/util/Exception.h>

#include <cstring>
#include <filesystem>
#include <opencv2/core.hpp>

#include "bind.h"
#include "nagl/core/error.h"

namespace nagl::python {
namespace {

/// Python's types; they live as long as the process.
struct Types {
  PyObject *error, *config, *data, *model, *device;
};
Types types = {};

PyObject* add(nb::module_& module, const char* name, PyObject* base, const char* text) {
  const std::string full = std::string("nagl.") + name;
  PyObject* type = PyErr_NewExceptionWithDoc(full.c_str(), text, base, nullptr);
  if (type == nullptr) nb::raise_python_error();
  module.attr(name) = nb::borrow(type);
  return type;
}

/// @param text names of files may be of any bytes
void set(PyObject* type, const char* text) {
  const nb::object message = nb::steal(
      PyUnicode_DecodeUTF8(text, static_cast<Py_ssize_t>(std::strlen(text)), "surrogateescape"));
  PyErr_SetObject(type, message.ptr());
}

void translate(const std::exception_ptr& thrown, void*) {
  try {
    std::rethrow_exception(thrown);
  } catch (const ConfigError& error) {
    set(types.config, error.what());
  } catch (const DataError& error) {
    set(types.data, error.what());
  } catch (const ModelError& error) {
    set(types.model, error.what());
  } catch (const DeviceError& error) {
    set(types.device, error.what());
  } catch (const Error& error) {
    set(types.error, error.what());
  } catch (const std::filesystem::filesystem_error& error) {
    set(types.data, error.what());
  } catch (const c10::Error& error) {
    set(types.error, error.what_without_backtrace());
  } catch (const cv::Exception& error) {
    set(types.error, error.what());
  }  // others, e.g. std::bad_alloc, are translated by nanobind
}

}  // namespace

void bind_errors(nb::module_& module) {
  types.error = add(module, "Error", PyExc_Exception,
                    "Base of what nagl raises: what is wrong, which file or option it is about, "
                    "what to do.");
  types.config = add(module, "ConfigError", types.error,
                     "An option, or a combination of options, that makes no sense.");
  types.data = add(module, "DataError", types.error,
                   "A picture, mask or folder that is missing, broken or unusable, or an output "
                   "that cannot be written.");
  types.model = add(module, "ModelError", types.error,
                    "A weights file or bank that is missing, broken, or does not fit what it is "
                    "used with.");
  types.device = add(module, "DeviceError", types.error,
                     "A device that is absent or cannot do what is asked.");
  nb::register_exception_translator(translate);
}

}  // namespace nagl::python
