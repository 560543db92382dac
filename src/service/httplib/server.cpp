#include "../server.h"

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include "connection.h"
#include "embedded/service_page.html.h"
#include "nagl/core/atomic_file.h"
#include "nagl/core/error.h"

namespace nagl::service {
namespace {

/// Connections that are open at once; more wait to be taken.
constexpr std::size_t kConnections = 64;
constexpr int kBacklog = 128;
/// Seconds that a connection may be idle between requests.
constexpr double kIdle = 5;
/// Of a request beside its picture: headers, and what stands around it in a form.
constexpr std::size_t kMostAround = 100'000;
/// Longer ones would be matched against patterns at length.
constexpr std::size_t kLongestPath = 256;
constexpr std::size_t kLongestName = 200;
constexpr std::size_t kLongestToken = 4096;
constexpr std::string_view kDetect = "/v1/detect/";

std::string read_token(const std::filesystem::path& file) {
  if (file.empty()) return {};
  std::string token = read_file(file, kLongestToken);
  const std::size_t end = token.find_last_not_of(" \t\r\n");
  token.resize(end == std::string::npos ? 0 : end + 1);
  const bool printable = std::all_of(token.begin(), token.end(),
                                     [](char letter) { return letter > ' ' && letter < 127; });
  if (token.empty() || !printable) {
    throw ConfigError(fmt::format(
        "the token file '{}' must hold one word of printable characters; make one with `openssl "
        "rand -hex 32`",
        file.string()));
  }
  return token;
}

/// What a client calls its picture, for messages: the last part of a path, in characters that do no
/// harm.
std::string picture_name(const std::string& given) {
  std::string name;
  for (const char letter : given.substr(given.find_last_of("/\\") + 1)) {
    if (name.size() >= kLongestName) break;
    const bool harmless = static_cast<unsigned char>(letter) >= ' ' && letter != 127;
    name += harmless ? letter : '_';
  }
  return name.empty() ? "picture" : name;
}

class HttpServer : public Server, private httplib::Server {
 public:
  explicit HttpServer(const ServeOptions& options)
      : options_(options), token_(read_token(options.token_file)) {
    new_task_queue = [] { return new httplib::ThreadPool(kConnections); };
    set_tcp_nodelay(true);
    set_socket_options([](socket_t socket) {  // cpp-httplib's own let two services share a port
      const int yes = 1;
      ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    });
    set_payload_max_length(options.max_body + kMostAround);
    if (options.port == 0) {
      port_ = bind_to_any_port(options.host);
    } else if (bind_to_port(options.host, options.port)) {
      port_ = options.port;
    }
    if (port_ <= 0 || ::listen(svr_sock_, kBacklog) != 0) {
      throw ConfigError(fmt::format(
          "cannot listen on {}:{}: the port is in use or not allowed, or the address is not one of "
          "this machine; give another --port or --host",
          options.host, options.port));
    }
  }

  std::string url() const override {
    const bool six = options_.host.find(':') != std::string::npos;
    return fmt::format("http://{}{}{}:{}", six ? "[" : "", options_.host, six ? "]" : "", port_);
  }

  void run(DetectService& service) override {
    service_ = &service;
    add_routes();
    listen_after_bind();
  }

  void stop() override { httplib::Server::stop(); }

 private:
  void add_routes() {
    set_pre_routing_handler([this](const httplib::Request& request, httplib::Response& response) {
      const auto refused = refuse(request);
      if (!refused) return HandlerResponse::Unhandled;
      current_->abandon();  // its body is not read
      send(*refused, response);
      if (request.path.starts_with(kDetect)) count(request, refused->status);
      return HandlerResponse::Handled;
    });
    Get("/", [](const httplib::Request&, httplib::Response& response) {
      response.set_header("Content-Security-Policy",
                          "default-src 'none'; style-src 'unsafe-inline'; script-src "
                          "'unsafe-inline'; img-src blob: data:; connect-src 'self'");
      response.set_content(std::string(embedded::kServicePageHtml), "text/html; charset=utf-8");
    });
    Get("/healthz", [](const httplib::Request&, httplib::Response& response) {
      response.set_content("ok\n", "text/plain");
    });
    Get("/readyz", [this](const httplib::Request&, httplib::Response& response) {
      response.status = service_->ready() ? 200 : 503;
      response.set_content(service_->ready() ? "ready\n" : "ending\n", "text/plain");
    });
    Get("/metrics", [this](const httplib::Request&, httplib::Response& response) {
      response.set_content(service_->metrics(), "text/plain; version=0.0.4");
    });
    Get("/v1/banks", [this](const httplib::Request&, httplib::Response& response) {
      response.set_content(dump_json(service_->banks()) + "\n", "application/json");
    });
    Post(R"(/v1/detect/([A-Za-z0-9._-]+))",
         [this](const httplib::Request& request, httplib::Response& response,
                const httplib::ContentReader& read) {
           const Answer answer = detect(request, read);
           send(answer, response);
           count(request, answer.status);
         });
    set_error_handler([this](const httplib::Request& request, httplib::Response& response) {
      if (!response.body.empty()) return;
      const char* why = response.status == 404   ? "there is nothing here; see GET /"
                        : response.status == 413 ? "the request is too large"
                        : response.status == 414 ? "the path is too long"
                                                 : "the request cannot be understood";
      send(refusal(response.status, why), response);
      if (current_->abandoned() && request.path.starts_with(kDetect)) {
        count(request, response.status);
      }
    });
    set_exception_handler(
        [](const httplib::Request&, httplib::Response& response, std::exception_ptr) {
          send(refusal(500, "unexpected failure"), response);
        });
  }

  /// What must not come further, nor have its body read.
  std::optional<Answer> refuse(const httplib::Request& request) const {
    if (request.path.size() > kLongestPath) return refusal(414, "the path is too long");
    const bool detects = request.path.starts_with(kDetect);
    const bool reads = request.method == "GET" || request.method == "HEAD";
    if (detects != (request.method == "POST") && (detects || !reads)) {
      return refusal(
          405, detects ? "a picture to detect in is sent with POST" : "only GET is answered here");
    }
    const bool open =
        reads && (request.path == "/" || request.path == "/healthz" || request.path == "/readyz");
    if (!open && !authorized(request)) {
      return refusal(401, "give the service's token: Authorization: Bearer TOKEN");
    }
    if (!detects) return std::nullopt;
    if (!service_->ready()) {
      Answer answer = refusal(503, "the service is ending");
      answer.try_again = true;
      return answer;
    }
    return service_->refuse(request.path.substr(kDetect.size()), output_of(request));
  }

  bool authorized(const httplib::Request& request) const {
    if (token_.empty()) return true;
    const std::string given = request.get_header_value("Authorization");
    const std::string wanted = "Bearer " + token_;
    return given.size() == wanted.size() &&
           CRYPTO_memcmp(given.data(), wanted.data(), wanted.size()) == 0;
  }

  static std::string output_of(const httplib::Request& request) {
    return request.has_param("output") ? request.get_param_value("output") : "json";
  }

  Answer detect(const httplib::Request& request, const httplib::ContentReader& read) {
    DetectRequest wanted;
    wanted.bank = request.path.substr(kDetect.size());
    wanted.output = output_of(request);
    wanted.picture = picture_name(request.get_param_value("name"));
    wanted.begun = current_->begun();
    bool large = false;
    std::size_t parts = 0;
    const auto receive = [&](const char* bytes, std::size_t size) {
      large = wanted.bytes.size() + size > options_.max_body;
      if (!large) wanted.bytes.append(bytes, size);
      return !large;
    };
    const bool whole = request.is_multipart_form_data()
                           ? read(
                                 [&](const httplib::MultipartFormData& part) {
                                   if (++parts > 1) return false;
                                   if (!part.filename.empty())
                                     wanted.picture = picture_name(part.filename);
                                   return true;
                                 },
                                 receive)
                           : read(receive);
    if (!whole) current_->abandon();
    if (large || current_->too_large()) {
      return refusal(413, fmt::format("more than {} bytes; scale the picture down, or start the "
                                      "service with a larger --max-body",
                                      options_.max_body));
    }
    if (parts > 1) return refusal(400, "several parts; send one picture a request");
    if (current_->late()) {
      return refusal(408, fmt::format("the picture did not come within {} s", options_.timeout));
    }
    if (!whole) return refusal(400, "the request's body ended early, or cannot be understood");
    if (wanted.bytes.empty()) {
      return refusal(400,
                     "no picture came; send its file as the body, or as the one part of a form");
    }
    return service_->detect(wanted);
  }

  static void send(const Answer& answer, httplib::Response& response) {
    response.status = answer.status;
    if (!answer.result.empty()) response.set_header("Nagl-Result", answer.result);
    if (answer.try_again) response.set_header("Retry-After", "1");
    if (answer.status == 401) response.set_header("WWW-Authenticate", "Bearer");
    response.set_content(answer.body, answer.type.c_str());
  }

  void count(const httplib::Request& request, int status) {
    service_->answered(request.path.substr(kDetect.size()), status, current_->begun());
  }

  /// Takes the place of cpp-httplib's, with a Connection.
  bool process_and_close_socket(socket_t socket) override {
    Connection connection(socket, options_.timeout, options_.max_body + kMostAround);
    current_ = &connection;
    const auto ending = [this] { return svr_sock_ == INVALID_SOCKET; };
    while (connection.wait_for_request(kIdle, ending)) {
      bool closed = false;
      const bool done = process_request(connection, ending(), closed, nullptr);
      if (!done || closed || connection.abandoned()) break;
    }
    current_ = nullptr;
    if (connection.abandoned()) connection.close_gently();
    ::shutdown(socket, SHUT_RDWR);
    ::close(socket);
    return true;
  }

  const ServeOptions options_;
  const std::string token_;
  int port_ = -1;
  DetectService* service_ = nullptr;
  static thread_local Connection* current_;  ///< that this thread is answering
};

thread_local Connection* HttpServer::current_ = nullptr;

}  // namespace

std::unique_ptr<Server> Server::create(const ServeOptions& options) {
  return std::make_unique<HttpServer>(options);
}

}  // namespace nagl::service
