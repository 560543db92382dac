#pragma once

#include <nanobind/nanobind.h>

#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

#include "nagl/jobs/observer.h"

namespace nagl::python {

namespace nb = nanobind;

/// Passes a message on to Python's logging, as the logger `nagl`. Takes the GIL.
void log(jobs::Level level, const std::string& text);

/// One call from Python that computes: the GIL is free meanwhile, messages go to Python's logging
/// and progress to the caller's function. A signal (Ctrl-C), or what that function raises, ends the
/// job as its stop token does, and is raised then.
class Call {
 public:
  /// @param progress a function (stage, done, total), or None
  explicit Call(nb::object progress = nb::none());
  ~Call();
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  /// What a job is given. Of what it holds, only `message` may be called after this call.
  template <typename Observer = jobs::JobObserver>
  Observer observer() {
    Observer observer;
    fill(observer);
    return observer;
  }

  /// Calls Python while the GIL is free; what it raises ends the job.
  void python(const std::function<void()>& work) { state_->guarded(work); }

  /// Calls `work` without the GIL.
  template <typename Work>
  auto run(Work&& work) {
    try {
      if constexpr (std::is_void_v<decltype(work())>) {
        {
          const nb::gil_scoped_release released;
          work();
        }
        raise();
      } else {
        auto result = [&] {
          const nb::gil_scoped_release released;
          return work();
        }();
        raise();
        return result;
      }
    } catch (...) {
      raise();  // the job's own words about the interruption say less
      throw;
    }
  }

 private:
  /// Outlives the call where a job keeps its observer.
  struct State {
    std::exception_ptr raised;
    std::chrono::steady_clock::time_point asked;

    void guarded(const std::function<void()>& work);
    bool stopped();
  };

  void fill(jobs::JobObserver& observer);
  void raise();

  nb::object progress_;
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

}  // namespace nagl::python
