#pragma once

#include <string>

namespace nagl {

/// What libraries print to standard error in one thread while this is in scope. Nothing is caught
/// before `install`; then it is printed as ever.
class StderrCapture {
 public:
  StderrCapture();
  ~StderrCapture();
  StderrCapture(const StderrCapture&) = delete;
  StderrCapture& operator=(const StderrCapture&) = delete;

  /// What was printed so far, on one line; empty if nothing was.
  std::string text() const;

  /// For an executable, once, before it has threads: makes the C library's `stderr` and std::cerr
  /// hand over what is printed within a capture; the rest goes where it went.
  static void install();

 private:
  std::string caught_;
  std::string* outer_;
};

}  // namespace nagl
