#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "nagl/jobs/observer.h"
#include "nagl/jobs/requests.h"
#include "nagl/jobs/runtime.h"

namespace nagl::service {

/// A bank's file, and what clients call it.
struct NamedBank {
  std::string name;  ///< letters, digits, `.`, `_` and `-`
  std::filesystem::path file;
};

/// `NAME=FILE`, or a file alone, which is then called as its name without the extension.
/// @throws ConfigError on a name of other characters
NamedBank parse_named_bank(const std::string& text);

/// What a service serves, where, and how much it takes.
struct ServeOptions {
  std::vector<NamedBank> banks;
  std::string host = "127.0.0.1";        ///< an address or name of this machine
  int port = 8080;                       ///< 0: any that is free
  std::filesystem::path token_file;      ///< what clients must know; empty: nothing
  std::size_t max_body = 32'000'000;     ///< of a request, in bytes
  std::int64_t max_pixels = 64'000'000;  ///< of a picture
  std::size_t queue = 32;                ///< pictures that may wait; more are refused
  double timeout = 30;                   ///< seconds that a request may take to come, and to wait
  std::optional<Precision> precision;    ///< unset: as commands have it
  jobs::RuntimeOptions runtime;
};

/// What a service tells beside what every job does.
struct ServeObserver : jobs::JobObserver {
  std::function<void(const std::string& url)> listening;  ///< may be empty
};

/// Answers requests over HTTP until it is stopped; those that came are then finished. A bank whose
/// file is replaced is read again, and serves once it is there; until then, and where the new one
/// cannot be used, the old one goes on. One backbone serves all banks.
/// @throws ConfigError if it cannot listen there, or nagl was built without cpp-httplib; ModelError
///         if a bank cannot be read, or belongs to another backbone or layer than the first
void serve(const ServeOptions& options, const ServeObserver& observer = {});

}  // namespace nagl::service
