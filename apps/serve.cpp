#include "nagl/service/serve.h"

#include <fmt/format.h>
#include <fmt/ostream.h>

#include <iostream>

#include "commands.h"
#include "console.h"
#include "exit_code.h"
#include "flags.h"

namespace nagl::apps {
namespace {

void run_serve(const service::ServeOptions& options) {
  Console console;
  auto observer = console.observer<service::ServeObserver>();
  observer.listening = [&](const std::string& url) {
    console.clear();
    fmt::print(std::cout, "listening on {}\n", url);
    std::cout.flush();  // whoever started it waits for this line
  };
  service::serve(options, observer);
}

}  // namespace

void add_serve(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<service::ServeOptions>();
  auto banks = std::make_shared<std::vector<std::string>>();
  auto* command = app.add_subcommand(
      "serve",
      "Answer requests over HTTP: a picture in, scores, map or overlay out; a page to drop "
      "pictures "
      "on; metrics. Until it is interrupted, when it finishes what has come.\n\n"
      "  nagl serve --bank part=part.safetensors\n"
      "  curl --data-binary @new.png localhost:8080/v1/detect/part\n"
      "  curl -F picture=@new.png 'localhost:8080/v1/detect/part?output=overlay' -o overlay.png\n"
      "  curl localhost:8080/v1/banks        and /healthz, /readyz, /metrics\n\n"
      "http://localhost:8080/ is the page. A bank's file may be replaced while it is served.\n");
  command
      ->add_option(
          "--bank", *banks,
          "A bank of nagl enroll, as NAME=FILE, or FILE alone, which is then called by its "
          "name; several times or several: several banks. One backbone serves all")
      ->required()
      ->group("Banks");
  constexpr const char* kNetwork = "Network";
  command
      ->add_option("--host", options->host,
                   "Address to listen on; 0.0.0.0: all of this machine, which wants --token-file "
                   "unless the network is closed")
      ->capture_default_str()
      ->group(kNetwork);
  command->add_option("--port", options->port, "Port to listen on; 0: any that is free")
      ->check(CLI::Range(0, 65535))
      ->capture_default_str()
      ->group(kNetwork);
  command
      ->add_option("--token-file", options->token_file,
                   "A file with the word that clients must give (Authorization: Bearer WORD)")
      ->group(kNetwork);
  constexpr const char* kLimits = "Limits";
  command
      ->add_option("--max-body", options->max_body,
                   "Of a request, in bytes, or e.g. 500kB, 32MB, 1GB")
      ->transform(CLI::AsSizeValue(true))
      ->default_str("32MB")
      ->group(kLimits);
  command->add_option("--max-pixels", options->max_pixels, "Of a picture; larger ones are refused")
      ->check(CLI::PositiveNumber)
      ->capture_default_str()
      ->group(kLimits);
  command
      ->add_option("--queue", options->queue,
                   "Pictures that may wait; what comes beyond is told to come again later (503)")
      ->check(CLI::Range(std::size_t{1}, std::size_t{100'000}))
      ->capture_default_str()
      ->group(kLimits);
  command
      ->add_option("--timeout", options->timeout,
                   "Seconds that a request may take to come, its picture may wait, and its answer "
                   "may take to be read")
      ->check(real_range(0.1, 3600.0))
      ->capture_default_str()
      ->group(kLimits);
  add_precision_flag(*command, options->precision);
  add_runtime_flags(*command, options->runtime);
  command->callback([options, banks, &exit_code] {
    for (const auto& text : *banks) options->banks.push_back(service::parse_named_bank(text));
    run_serve(*options);
    exit_code = kSuccess;
  });
}

}  // namespace nagl::apps
