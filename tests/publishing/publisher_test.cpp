#include "nagl/publishing/publisher.h"

#include <sys/wait.h>

#include <csignal>

#include "local_server.h"
#include "nagl/core/error.h"
#include "support.h"

namespace nagl {
namespace {

namespace fs = std::filesystem;
using testing::free_port;
using testing::LocalServer;
using testing::message_of;
using testing::slurp;
using testing::spill;
using testing::TemporaryFolder;
using testing::within;

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// Whether this build can do it; else a test is skipped.
bool is_built(const PublishOptions& options) {
  try {
    const Publisher publisher(options);
  } catch (const ConfigError& error) {
    if (contains(error.what(), "built without")) return false;
    throw;
  }
  return true;
}

#define NAGL_NEEDS_BUILD(options) \
  if (!is_built(options)) GTEST_SKIP() << "this build has no library for it"

std::string joined(const std::vector<std::string>& lines) {
  std::string all;
  for (const auto& line : lines) all += line + "\n";
  return all;
}

std::vector<std::string> bodies(const LocalServer& server) {
  std::vector<std::string> all;
  for (const auto& request : server.requests()) all.push_back(request.body);
  return all;
}

class WebhookTest : public ::testing::Test {
 protected:
  PublishOptions to(const std::string& url) const {
    PublishOptions options;
    options.webhook = url;
    options.spool = folder / "spool";
    return options;
  }
  std::size_t waiting() const {
    std::size_t count = 0;
    if (!fs::exists(folder / "spool/webhook")) return 0;
    for (const auto& file : fs::directory_iterator(folder / "spool/webhook")) {
      count += file.path().extension() == ".json";
    }
    return count;
  }

  const TemporaryFolder folder;
};

TEST_F(WebhookTest, DeliversEachResultOnceAndInOrder) {
  LocalServer server;
  PublishOptions options = to(server.url("/hook?line=3"));
  spill(folder / "token", "s3cret\n");
  options.token = folder / "token";
  NAGL_NEEDS_BUILD(options);
  Publisher publisher(options);
  for (const char* text : {"{\"a\":1}", "{\"a\":2}", "{\"a\":3}"}) publisher.add(text);
  publisher.finish(5);
  EXPECT_EQ(bodies(server), (std::vector<std::string>{"{\"a\":1}", "{\"a\":2}", "{\"a\":3}"}));
  const auto requests = server.requests();
  EXPECT_TRUE(requests[0].head.starts_with("POST /hook?line=3 HTTP/1.1\r\n")) << requests[0].head;
  EXPECT_TRUE(contains(requests[0].head, "Authorization: Bearer s3cret\r\n"));
  EXPECT_TRUE(contains(requests[0].head, "Content-Type: application/json"));
  EXPECT_TRUE(contains(requests[0].head, "Idempotency-Key: 0"));
  EXPECT_EQ(publisher.counts().delivered, 3U);
  EXPECT_EQ(publisher.counts().waiting, 0U);
  EXPECT_EQ(waiting(), 0U);
  EXPECT_EQ(joined(publisher.news()), "");
}

TEST_F(WebhookTest, TriesAgainWhatCannotBeTakenNow) {
  int seen = 0;
  LocalServer server([&](const LocalServer::Request&) {
    const int statuses[] = {503, 429, 200};
    return statuses[std::min(seen++, 2)];
  });
  const PublishOptions options = to(server.url());
  NAGL_NEEDS_BUILD(options);
  Publisher publisher(options);
  publisher.add("1");
  publisher.finish(10);
  const auto requests = server.requests();
  ASSERT_EQ(requests.size(), 3U);
  // The same result says so.
  const auto key = [](const std::string& head) {
    return head.substr(head.find("Idempotency-Key"), 40);
  };
  EXPECT_EQ(key(requests[0].head), key(requests[2].head));
  const std::string news = joined(publisher.news());
  EXPECT_TRUE(contains(news, "answered 503")) << news;
  EXPECT_TRUE(contains(news, "is back")) << news;
  EXPECT_EQ(publisher.counts().delivered, 1U);
}

TEST_F(WebhookTest, GivesUpWhatIsRejected) {
  LocalServer server(
      [](const LocalServer::Request& request) { return request.body == "1" ? 404 : 200; });
  const PublishOptions options = to(server.url());
  NAGL_NEEDS_BUILD(options);
  Publisher publisher(options);
  publisher.add("1");
  publisher.add("2");
  publisher.finish(5);
  EXPECT_EQ(bodies(server), (std::vector<std::string>{"1", "2"}));
  EXPECT_EQ(publisher.counts().rejected, 1U);
  EXPECT_EQ(publisher.counts().delivered, 1U);
  const std::string news = joined(publisher.news());
  EXPECT_TRUE(contains(news, "1 result given up: http://127.0.0.1")) << news;
  EXPECT_TRUE(contains(news, "answered 404")) << news;
}

TEST_F(WebhookTest, WaitsForAReceiverThatIsAwayAndGivesUpTheOldest) {
  const int port = free_port();
  PublishOptions options = to("http://127.0.0.1:" + std::to_string(port) + "/hook");
  options.most = 6;
  NAGL_NEEDS_BUILD(options);
  {
    Publisher publisher(options);
    for (const char* text : {"11", "22", "33", "44", "55"}) publisher.add(text);
    const auto begin = std::chrono::steady_clock::now();
    publisher.finish(0.3);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(3));
    EXPECT_EQ(publisher.counts().given_up, 2U);
    EXPECT_EQ(publisher.counts().waiting, 3U);
    const std::string news = joined(publisher.news());
    EXPECT_TRUE(contains(news, "cannot be reached")) << news;
    EXPECT_TRUE(contains(news, "2 results given up, the oldest")) << news;
    EXPECT_TRUE(contains(news, "3 results could not be delivered")) << news;
    EXPECT_EQ(waiting(), 3U);
  }
  // The next run delivers what waits, and then its own.
  LocalServer server({}, port);
  Publisher publisher(options);
  publisher.add("66");
  publisher.finish(5);
  const auto sent = bodies(server);
  ASSERT_GE(sent.size(), 3U);
  EXPECT_EQ(sent.back(), "66");
  EXPECT_EQ(sent[sent.size() - 2], "55");
  EXPECT_EQ(waiting(), 0U);
  const std::string news = joined(publisher.news());
  EXPECT_TRUE(contains(news, "of an earlier run")) << news;
}

TEST_F(WebhookTest, AKilledProcessLosesNothing) {
  const int port = free_port();
  const PublishOptions options = to("http://127.0.0.1:" + std::to_string(port) + "/hook");
  NAGL_NEEDS_BUILD(options);
  const pid_t child = ::fork();
  if (child == 0) {
    Publisher publisher(options);
    for (int i = 0; i < 20; ++i) publisher.add(std::to_string(i));
    ::raise(SIGKILL);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(waiting(), 20U);
  LocalServer server({}, port);
  Publisher publisher(options);
  publisher.finish(10);
  const auto sent = bodies(server);
  ASSERT_EQ(sent.size(), 20U);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(sent[static_cast<std::size_t>(i)], std::to_string(i));
}

TEST_F(WebhookTest, NobodyWaitsForASlowReceiver) {
  LocalServer server([](const LocalServer::Request&) {
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    return 200;
  });
  const PublishOptions options = to(server.url());
  NAGL_NEEDS_BUILD(options);
  Publisher publisher(options);
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 5; ++i) publisher.add(std::to_string(i));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(900));
  EXPECT_TRUE(within(5, [&] { return publisher.counts().delivered == 5; }));
}

TEST(PublishOptions, NonsenseIsRefused) {
  const TemporaryFolder folder;
  spill(folder / "empty", "\n");
  spill(folder / "one", "user\n");
  const auto refused = [&](const std::function<void(PublishOptions&)>& change) {
    PublishOptions options;
    options.spool = folder / "spool";
    change(options);
    return message_of<ConfigError>([&] { const Publisher publisher(options); });
  };
  using Options = PublishOptions;
  EXPECT_TRUE(contains(refused([](Options& o) { o.webhook = "http://h/x", o.spool = ""; }),
                       "give --spool or --out"));
  EXPECT_TRUE(contains(refused([](Options& o) { o.token = "t"; }), "--post-token needs --post"));
  EXPECT_TRUE(contains(refused([](Options& o) { o.login = "t"; }), "--mqtt-login needs --mqtt"));
  EXPECT_TRUE(contains(refused([](Options&) {}), "--spool needs"));
  EXPECT_TRUE(contains(refused([](Options& o) { o.webhook = "http://h", o.most = 0; }), "above 0"));

  PublishOptions webhook;
  webhook.webhook = "http://127.0.0.1:1/";
  webhook.spool = folder / "probe";
  if (is_built(webhook)) {
    for (const auto& [url, why] : std::vector<std::pair<std::string, std::string>>{
             {"host/path", "no scheme"},
             {"ftp://host/", "neither http:// nor https://"},
             {"http://user:geheim@host/", "in a file"},
             {"http:///path", "names no host"},
             {"http://host:0/", "no port"},
             {"http://host:x/", "no port"},
             {"http://host/a b", "a space"},
             {"http://[::1/", "no ]"}}) {
      const auto message = refused([&](Options& o) { o.webhook = url; });
      EXPECT_TRUE(contains(message, why)) << message;
      EXPECT_FALSE(contains(message, "geheim")) << message;
    }
    EXPECT_TRUE(
        contains(refused([&](Options& o) { o.webhook = "http://h/", o.token = folder / "empty"; }),
                 "fewer than 1 line"));
  }
  PublishOptions mqtt;
  mqtt.mqtt = "mqtt://127.0.0.1:1/t";
  mqtt.spool = folder / "probe";
  if (is_built(mqtt)) {
    EXPECT_TRUE(contains(refused([](Options& o) { o.mqtt = "mqtt://host"; }), "no topic"));
    EXPECT_TRUE(contains(refused([](Options& o) { o.mqtt = "mqtt://host/a/#"; }), "no + or #"));
    EXPECT_TRUE(contains(refused([](Options& o) { o.mqtt = "http://host/a"; }), "mqtts://"));
    EXPECT_TRUE(
        contains(refused([&](Options& o) { o.mqtt = "mqtt://h/t", o.login = folder / "one"; }),
                 "fewer than 2 lines"));
  }
}

}  // namespace
}  // namespace nagl
