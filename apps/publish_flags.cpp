#include "publish_flags.h"

namespace nagl::apps {

void add_publish_flags(CLI::App& command, PublishOptions& publish) {
  constexpr const char* kPublishing = "Publishing";
  command
      .add_option("--post", publish.webhook,
                  "POST each result, the JSON of its line, to this http:// or https:// address")
      ->group(kPublishing);
  command
      .add_option("--post-token", publish.token,
                  "A file with the bearer token that --post sends along")
      ->group(kPublishing);
  command
      .add_option("--mqtt", publish.mqtt,
                  "Publish each result at a broker, mqtt://HOST[:PORT]/TOPIC or mqtts://..., with "
                  "quality of service 1")
      ->group(kPublishing);
  command
      .add_option("--mqtt-login", publish.login,
                  "A file with user and password for the broker, a line each")
      ->group(kPublishing);
  command
      .add_option("--spool", publish.spool,
                  "Folder where results wait until they are delivered, also for the next run")
      ->default_str("OUT/spool")
      ->group(kPublishing);
  command
      .add_option("--spool-size", publish.most,
                  "What may wait there, for each receiver; beyond it the oldest results are given "
                  "up, with a warning")
      ->transform(CLI::AsSizeValue(/*kb_is_1000=*/true))
      ->default_str("100MB")
      ->group(kPublishing);
}

}  // namespace nagl::apps
