#pragma once

#include <stdexcept>
#include <string>

namespace nagl {

/// Base of everything the library throws for a user to read. The message says what is wrong, which
/// file or option it is about, and what to do. The library never exits and never prints.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// An option, or a combination of options, that makes no sense. Exit code 2.
class ConfigError : public Error {
 public:
  using Error::Error;
};

/// A picture, mask or folder that is missing, broken or unusable, or an output that cannot be
/// written. Exit code 3.
class DataError : public Error {
 public:
  using Error::Error;
};

/// A weights file that is missing, broken, or does not fit what it is used with. Exit code 4.
class ModelError : public Error {
 public:
  using Error::Error;
};

/// A device that is absent or cannot do what is asked. Exit code 5.
class DeviceError : public Error {
 public:
  using Error::Error;
};

}  // namespace nagl
