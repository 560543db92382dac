#pragma once

#include <memory>
#include <string>

#include "detect_service.h"
#include "nagl/service/serve.h"

namespace nagl::service {

/// Brings requests over HTTP to a DetectService.
class Server {
 public:
  virtual ~Server() = default;

  /// Listens from here on, so that nobody else takes the place; requests wait until `run`.
  /// @throws ConfigError if it cannot listen there, on a token file that cannot be used, or where
  ///         nagl was built without cpp-httplib
  static std::unique_ptr<Server> create(const ServeOptions& options);

  /// `http://127.0.0.1:8080`
  virtual std::string url() const = 0;
  /// Answers, until `stop`, and then what has come by then.
  virtual void run(DetectService& service) = 0;
  /// From any thread.
  virtual void stop() = 0;
};

}  // namespace nagl::service
