#include "nagl/service/serve.h"

#include <gtest/gtest.h>

#include <string>

#include "nagl/core/error.h"
#include "support.h"

namespace nagl::service {
namespace {

using testing::message_of;

TEST(NamedBank, IsANameAndAFile) {
  const NamedBank named = parse_named_bank("part=some/bank=1.safetensors");
  EXPECT_EQ(named.name, "part");
  EXPECT_EQ(named.file, "some/bank=1.safetensors");
  const NamedBank plain = parse_named_bank("some/lid-2.safetensors");
  EXPECT_EQ(plain.name, "lid-2");
  EXPECT_EQ(plain.file, "some/lid-2.safetensors");
  for (const std::string wrong : {"", "=file", "part=", "a b=file", "a/b=file", "some/dir/"}) {
    EXPECT_THROW(parse_named_bank(wrong), ConfigError) << wrong;
  }
}

TEST(Serve, RefusesLimitsThatLetNothingThrough) {
  ServeOptions options;
  options.banks = {{"part", "missing"}};
  options.port = 70000;
  EXPECT_NE(message_of<ConfigError>([&] { serve(options); }).find("port"), std::string::npos);
  options.port = 0;
  options.queue = 0;
  EXPECT_NE(message_of<ConfigError>([&] { serve(options); }).find("wait"), std::string::npos);
  options.queue = 1;
  options.timeout = 0;
  EXPECT_NE(message_of<ConfigError>([&] { serve(options); }).find("seconds"), std::string::npos);
  options.timeout = 1;
  options.max_body = 0;
  EXPECT_NE(message_of<ConfigError>([&] { serve(options); }).find("bytes"), std::string::npos);
}

}  // namespace
}  // namespace nagl::service
