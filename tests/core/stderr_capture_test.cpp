#include "nagl/core/stderr_capture.h"

#include <cstdio>
#include <iostream>
#include <thread>

#include "../../apps/error_streams.h"
#include "support.h"

namespace nagl {
namespace {

TEST(StderrCapture, TakesWhatItsOwnThreadPrints) {
  apps::hand_over_error_streams();
  const StderrCapture outer;
  EXPECT_EQ(outer.text(), "");
  std::fprintf(stderr, "libpng error:\n  bad %d\n", 7);
  {
    const StderrCapture inner;
    std::cerr << "within" << std::endl;
    std::thread([] {
      const StderrCapture own;
      std::cerr << "elsewhere\n";
      EXPECT_EQ(own.text(), "elsewhere");
    }).join();
    EXPECT_EQ(inner.text(), "within");
  }
  EXPECT_EQ(outer.text(), "libpng error: bad 7");
  std::fprintf(stderr, "%s", std::string(5000, 'x').c_str());
  EXPECT_EQ(outer.text().size(), 300U);
}

}  // namespace
}  // namespace nagl
