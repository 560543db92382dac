#include <sys/wait.h>

#include <csignal>

#include "local_server.h"
#include "nagl/core/error.h"
#include "nagl/publishing/publisher.h"
#include "support.h"

namespace nagl {
namespace {

namespace fs = std::filesystem;
using testing::free_port;
using testing::slurp;
using testing::spill;
using testing::TemporaryFolder;
using testing::within;

const char* broker_program() {
  for (const char* program : {"/usr/sbin/mosquitto", "/usr/bin/mosquitto"}) {
    if (fs::exists(program)) return program;
  }
  return nullptr;
}

int connected_to(int port) {
  const int connection = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(connection, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) {
    return connection;
  }
  ::close(connection);
  return -1;
}

/// A mosquitto of the test's own.
class Broker {
 public:
  /// @param settings further lines of its configuration
  Broker(const fs::path& folder, int port, const std::string& settings) {
    spill(folder / "broker.conf",
          "listener " + std::to_string(port) + " 127.0.0.1\n" + "user root\n" + settings);
    process_ = ::fork();
    if (process_ == 0) {
      const std::string log = folder / "broker.log", configuration = folder / "broker.conf";
      if (std::freopen(log.c_str(), "w", stderr) == nullptr) ::_exit(126);
      ::execl(broker_program(), "mosquitto", "-c", configuration.c_str(), nullptr);
      ::_exit(127);
    }
    ready_ = within(5, [&] {
      const int connection = connected_to(port);
      if (connection >= 0) ::close(connection);
      return connection >= 0;
    });
  }
  ~Broker() {
    ::kill(process_, SIGTERM);
    ::waitpid(process_, nullptr, 0);
  }
  bool ready() const { return ready_; }

 private:
  pid_t process_;
  bool ready_ = false;
};

/// Subscribes to `#` in the words of the protocol (MQTT 3.1.1), and keeps what comes.
class Subscriber {
 public:
  explicit Subscriber(int port, const std::string& user = {}, const std::string& password = {})
      : connection_(connected_to(port)) {
    std::string content = text("MQTT") + '\x04' + (user.empty() ? '\x02' : '\xC2') +
                          std::string("\x00\x3C", 2) + text("test");
    if (!user.empty()) content += text(user) + text(password);
    send('\x10', content);
    send('\x82', std::string("\x00\x01", 2) + text("#") + std::string(1, '\0'));
    packet();  // CONNACK
    subscribed_ = packet().first == 0x90;
  }
  ~Subscriber() { ::close(connection_); }

  bool subscribed() const { return subscribed_; }
  /// The next message, `topic payload`; empty if none comes within five seconds.
  std::string next() {
    const auto [kind, content] = packet();
    if (kind >> 4 != 3) return {};
    const auto length = static_cast<std::size_t>(static_cast<unsigned char>(content[0]) * 256 +
                                                 static_cast<unsigned char>(content[1]));
    return content.substr(2, length) + " " + content.substr(2 + length);
  }

 private:
  static std::string text(const std::string& value) {
    return std::string(1, '\0') + static_cast<char>(value.size()) + value;
  }
  void send(char kind, const std::string& content) const {
    const std::string bytes = std::string(1, kind) + static_cast<char>(content.size()) + content;
    static_cast<void>(!::write(connection_, bytes.data(), bytes.size()));
  }
  int byte() {
    pollfd input{connection_, POLLIN, 0};
    unsigned char value = 0;
    if (::poll(&input, 1, 5000) <= 0 || ::read(connection_, &value, 1) != 1) return -1;
    return value;
  }
  std::pair<int, std::string> packet() {
    const int kind = byte();
    if (kind < 0) return {0, {}};
    std::size_t length = 0;
    for (int shift = 0, part = 128; part >= 128; shift += 7) {
      part = byte();
      if (part < 0) return {0, {}};
      length += static_cast<std::size_t>(part & 127) << shift;
    }
    std::string content;
    while (content.size() < length) {
      const int value = byte();
      if (value < 0) return {0, {}};
      content += static_cast<char>(value);
    }
    return {kind, content};
  }

  int connection_;
  bool subscribed_ = false;
};

class MqttTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (broker_program() == nullptr) GTEST_SKIP() << "mosquitto is not installed";
    port = free_port();
    options.mqtt = "mqtt://127.0.0.1:" + std::to_string(port) + "/line/3";
    options.spool = folder / "spool";
    try {
      const Publisher publisher(options);
    } catch (const ConfigError& error) {
      GTEST_SKIP() << error.what();
    }
  }
  std::string news(Publisher& publisher) {
    std::string all;
    for (const auto& line : publisher.news()) all += line + "\n";
    return all;
  }

  const TemporaryFolder folder;
  int port = 0;
  PublishOptions options;
};

TEST_F(MqttTest, PublishesUnderItsTopicAndAgainAfterABreak) {
  auto broker = std::make_unique<Broker>(folder.path(), port, "allow_anonymous true\n");
  ASSERT_TRUE(broker->ready()) << slurp(folder / "broker.log");
  Publisher publisher(options);
  {
    Subscriber subscriber(port);
    ASSERT_TRUE(subscriber.subscribed());
    publisher.add("{\"a\":1}");
    publisher.add(std::string("\"") + std::string(3000, 'x') + "\"");
    EXPECT_EQ(subscriber.next(), "line/3 {\"a\":1}");
    EXPECT_EQ(subscriber.next().size(), 7U + 3002U);
  }
  ASSERT_TRUE(within(5, [&] { return publisher.counts().delivered == 2; }));

  broker.reset();
  publisher.add("3");
  ASSERT_TRUE(within(10, [&] {
    const std::string said = news(publisher);
    return said.find("tried again") != std::string::npos;
  }));
  EXPECT_EQ(publisher.counts().waiting, 1U);
  broker = std::make_unique<Broker>(folder.path(), port, "allow_anonymous true\n");
  Subscriber subscriber(port);
  ASSERT_TRUE(subscriber.subscribed());
  publisher.finish(10);
  EXPECT_EQ(subscriber.next(), "line/3 3");
  EXPECT_EQ(publisher.counts().delivered, 3U);
  EXPECT_NE(news(publisher).find("is back"), std::string::npos);
}

TEST_F(MqttTest, AnIdleConnectionThatBreaksLosesNothing) {
  auto broker = std::make_unique<Broker>(folder.path(), port, "allow_anonymous true\n");
  Publisher publisher(options);
  publisher.add("1");
  ASSERT_TRUE(within(5, [&] { return publisher.counts().delivered == 1; }));
  broker.reset();
  broker = std::make_unique<Broker>(folder.path(), port, "allow_anonymous true\n");
  Subscriber subscriber(port);
  publisher.add("2");
  publisher.finish(10);
  EXPECT_EQ(subscriber.next(), "line/3 2");
}

TEST_F(MqttTest, UserAndPasswordComeFromAFile) {
  spill(folder / "passwords", "nagl:geheim\n");
  const std::string hashed = "mosquitto_passwd -U " + (folder / "passwords").string();
  if (std::system(hashed.c_str()) != 0) GTEST_SKIP() << "mosquitto_passwd is not installed";
  const Broker broker(folder.path(), port,
                      "allow_anonymous false\npassword_file " + (folder / "passwords").string());
  ASSERT_TRUE(broker.ready()) << slurp(folder / "broker.log");
  {
    Publisher publisher(options);  // without
    publisher.add("1");
    publisher.finish(1);
    EXPECT_EQ(publisher.counts().waiting, 1U);
    const std::string said = news(publisher);
    EXPECT_NE(said.find("refused"), std::string::npos) << said;
  }
  Subscriber subscriber(port, "nagl", "geheim");
  ASSERT_TRUE(subscriber.subscribed());
  spill(folder / "login", "nagl\ngeheim\n");
  options.login = folder / "login";
  Publisher publisher(options);
  publisher.finish(5);
  EXPECT_EQ(subscriber.next(), "line/3 1");
}

}  // namespace
}  // namespace nagl
