#include <fmt/format.h>

#include <algorithm>
#include <sstream>

#include "nagl/core/atomic_file.h"
#include "nagl/core/error.h"
#include "nagl/core/text.h"
#include "receiver.h"

namespace nagl {

namespace {

constexpr std::size_t kLargestSecrets = 1 << 16;

}  // namespace

Address parse_address(const std::string& url, const std::string& option) {
  const auto fail = [&](const std::string& why) {
    throw ConfigError(fmt::format("{} {}", option, why));
  };
  Address address;
  const auto scheme_end = url.find("://");
  if (scheme_end == std::string::npos || scheme_end == 0) {
    fail(fmt::format("'{}' is no address: it begins with no scheme such as http://", url));
  }
  address.scheme = lower_case(url.substr(0, scheme_end));
  const std::string rest = url.substr(scheme_end + 3);
  const auto path_begin = std::min(rest.find_first_of("/?#"), rest.size());
  std::string host = rest.substr(0, path_begin);
  address.path = rest.substr(path_begin);
  // Everybody on the machine sees a command line.
  if (host.find('@') != std::string::npos) {
    fail("holds a user or a password; give these in a file (--post-token, --mqtt-login)");
  }
  const auto bad = [](unsigned char c) { return c <= ' ' || c == 0x7F; };
  if (std::any_of(url.begin(), url.end(), bad)) fail("holds a space or a control character");
  std::string port;
  const bool bracketed = host.starts_with('[');
  const auto host_end = bracketed ? host.find(']') : host.find(':');
  if (bracketed) {
    if (host_end == std::string::npos) fail(fmt::format("'{}' has no ] after its host", url));
    port = host.substr(host_end + 1);
    host = host.substr(1, host_end - 1);
  } else if (host_end != std::string::npos) {
    port = host.substr(host_end);
    host = host.substr(0, host_end);
  }
  if (host.empty()) fail(fmt::format("'{}' names no host", url));
  if (!port.empty()) {
    const auto number = port.front() == ':' ? whole_number(port.substr(1)) : std::nullopt;
    if (!number || *number < 1 || *number > 65535) {
      fail(fmt::format("'{}' names no port from 1 to 65535", url));
    }
    address.port = static_cast<int>(*number);
  }
  address.host = host;
  return address;
}

std::vector<std::string> read_secrets(const std::filesystem::path& file, std::size_t lines) {
  std::vector<std::string> secrets;
  std::istringstream text(read_file(file, kLargestSecrets));
  for (std::string line; secrets.size() < lines && std::getline(text, line);) {
    if (line.ends_with('\r')) line.pop_back();
    if (!line.empty()) secrets.push_back(line);
  }
  if (secrets.size() < lines) {
    throw ConfigError(fmt::format("'{}' holds fewer than {} line{}", file.string(), lines,
                                  lines == 1 ? "" : "s"));
  }
  return secrets;
}

}  // namespace nagl
