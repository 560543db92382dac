#include "call.h"

#include <nanobind/stl/string.h>

namespace nagl::python {
namespace {

/// Between two looks for signals, each of which takes the GIL.
constexpr std::chrono::milliseconds kSignalInterval(50);

/// As `logging` numbers them.
int number_of(jobs::Level level) {
  switch (level) {
    case jobs::Level::kInfo:
      return 20;
    case jobs::Level::kWarning:
      return 30;
    case jobs::Level::kError:
      return 40;
  }
  return 40;
}

}  // namespace

void log(jobs::Level level, const std::string& text) {
  if (!nb::is_alive()) return;
  const nb::gil_scoped_acquire acquired;
  const nb::object shown = nb::steal(
      PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "surrogateescape"));
  nb::module_::import_("logging").attr("getLogger")("nagl").attr("log")(number_of(level), "%s",
                                                                        shown);
}

Call::Call(nb::object progress) : progress_(std::move(progress)) {
  if (!progress_.is_none() && PyCallable_Check(progress_.ptr()) == 0) {
    throw nb::type_error("progress: expected a function (stage, done, total)");
  }
}

Call::~Call() = default;

void Call::State::guarded(const std::function<void()>& work) {
  if (raised) return;
  const nb::gil_scoped_acquire acquired;
  try {
    work();
  } catch (...) {
    raised = std::current_exception();
  }
}

bool Call::State::stopped() {
  if (raised) return true;
  const auto now = std::chrono::steady_clock::now();
  if (now - asked < kSignalInterval) return false;
  asked = now;
  guarded([] {
    if (PyErr_CheckSignals() != 0) nb::raise_python_error();
  });
  return raised != nullptr;
}

void Call::fill(jobs::JobObserver& observer) {
  observer.message = [state = state_](jobs::Level level, const std::string& text) {
    state->guarded([&] { log(level, text); });
  };
  observer.stop = [state = state_] { return state->stopped(); };
  if (progress_.is_none()) return;
  observer.progress = [this](const std::string& stage, std::int64_t done, std::int64_t total) {
    state_->guarded([&] { progress_(stage, done, total); });
  };
}

void Call::raise() {
  if (state_->raised) std::rethrow_exception(std::exchange(state_->raised, nullptr));
}

}  // namespace nagl::python
