#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <semaphore>
#include <string>
#include <vector>

#include "bank_shelf.h"
#include "detection_queue.h"
#include "nagl/core/json.h"
#include "nagl/service/serve.h"
#include "notices.h"
#include "service_metrics.h"

namespace nagl::service {

/// What a request is answered with.
struct Answer {
  int status = 200;
  std::string type = "application/json";
  std::string body;
  std::string result;      ///< beside a PNG: the scores, as JSON in ASCII; else empty
  bool try_again = false;  ///< later, with the same request
};

/// `{"error": "..."}`
Answer refusal(int status, const std::string& why);

/// A picture that a client sent.
struct DetectRequest {
  std::string bank;     ///< name
  std::string bytes;    ///< of the picture's file
  std::string picture;  ///< what the client calls it; no file of that name is opened
  std::string output;   ///< `json`, `map` or `overlay`
  Clock::time_point begun;
};

/// What the service does, whatever brings the requests. Safe to use from several threads.
class DetectService {
 public:
  /// Loads the banks. @throws as `serve`
  DetectService(const ServeOptions& options, const jobs::JobObserver& observer);

  /// Why a request for this bank and output has no hope, before its picture is read: status 404 or
  /// 400; nothing otherwise.
  std::optional<Answer> refuse(const std::string& bank, const std::string& output) const;
  /// Of a request that `refuse` lets through.
  Answer detect(const DetectRequest& request);
  /// Counts a request that was answered, by whomever.
  void answered(const std::string& bank, int status, Clock::time_point begun);

  /// What `GET /v1/banks` and `GET /metrics` give.
  Json banks() const { return {{"banks", shelf_.describe()}}; }
  std::string metrics() const;

  /// Whether it still takes requests.
  bool ready() const { return ready_; }
  void drain() { ready_ = false; }

  /// Once a second or so, in the thread that the observer is told in.
  void tend(const jobs::JobObserver& observer);

 private:
  Answer answer_of(const ServedBank& bank, const DetectRequest& request, const Image& image,
                   const Detection& detection);

  std::chrono::duration<double> timeout_;
  std::size_t most_;  ///< requests that may be inside
  std::atomic<std::size_t> inside_ = 0;
  std::atomic<bool> ready_ = true;
  Notices notices_;
  BankShelf shelf_;
  ServiceMetrics metrics_;
  Concurrency concurrency_;
  std::counting_semaphore<> decoded_;  ///< pictures that may be in memory as pixels
  DetectionQueue queue_;
};

}  // namespace nagl::service
