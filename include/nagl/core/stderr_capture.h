#pragma once

#include <string>
#include <string_view>

namespace nagl {

/// What other libraries print to standard error in one thread while this is in scope, as far as the
/// executable hands it over (`take`); where it does not, that is printed as ever, and nothing is
/// caught.
class StderrCapture {
 public:
  StderrCapture();
  ~StderrCapture();
  StderrCapture(const StderrCapture&) = delete;
  StderrCapture& operator=(const StderrCapture&) = delete;

  /// What was printed so far, on one line; empty if nothing was.
  std::string text() const;

  /// For an executable that has standard error's streams in its hands.
  /// @return whether a capture of this thread took it; else it is still to be printed
  static bool take(std::string_view printed);

 private:
  std::string caught_;
  std::string* outer_;
};

}  // namespace nagl
