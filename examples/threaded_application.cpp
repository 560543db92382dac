// A detector inside an application that has threads of its own: several workers share one detector,
// each takes the next picture.
//
//   threaded_application BANK PICTURE...        (the bank is a file that `nagl enroll` wrote)

#include <ATen/Parallel.h>
#include <nagl/nagl.h>

#include <atomic>
#include <exception>
#include <iostream>
#include <mutex>
#include <thread>
#include <vector>

int main(int argc, char** argv) try {
  if (argc < 3) {
    std::cerr << "usage: threaded_application BANK PICTURE...\n";
    return 2;
  }
  // The bank says of which layer its features are.
  nagl::Bank bank = nagl::load_bank(argv[1], at::kCPU);
  nagl::BackboneOptions options;
  options.layer = bank.origin.layer;
  const auto backbone = std::make_shared<const nagl::Backbone>(nagl::find_backbone({}), options);
  const nagl::Detector detector(backbone, std::move(bank));

  std::atomic<int> next = 2;
  std::mutex printing;
  std::exception_ptr failure;
  const auto work = [&] {
    at::set_num_threads(1);  // of Torch's own: else the workers wait for each other's
    for (int i = next++; i < argc; i = next++) try {
        const nagl::Detection seen = detector.detect(nagl::read_image(argv[i]));
        const std::lock_guard lock(printing);
        std::cout << argv[i] << "  " << seen.image_score << "  " << to_string(seen.verdict) << "\n";
      } catch (...) {
        const std::lock_guard lock(printing);
        failure = std::current_exception();
      }
  };
  std::vector<std::thread> workers;
  for (int i = 0; i < 2; ++i) workers.emplace_back(work);
  for (auto& worker : workers) worker.join();
  if (failure) std::rethrow_exception(failure);
} catch (const nagl::Error& error) {
  std::cerr << error.what() << "\n";
  return 1;
}
