#include "nagl/core/device.h"

#include <torch/cuda.h>

#include "nagl/core/error.h"
#include "nagl/core/json.h"
#include "tensors.h"

namespace nagl {
namespace {

TEST(Device, IsParsedOrRefused) {
  EXPECT_TRUE(parse_device("cpu").is_cpu());
  EXPECT_EQ(parse_device("auto").is_cuda(), torch::cuda::is_available());
  for (const char* wrong : {"", "gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:1234", "CPU"}) {
    EXPECT_THROW(parse_device(wrong), ConfigError) << wrong;
  }
  EXPECT_THROW(parse_device("cuda:999"), DeviceError);
  EXPECT_NE(describe_device(at::kCPU).find("threads"), std::string::npos);
}

TEST(Precision, IsParsedOrRefused) {
  for (const auto precision : {Precision::kFloat32, Precision::kBFloat16, Precision::kFloat16}) {
    EXPECT_EQ(parse_as<Precision>(to_string(precision)), precision);
  }
  EXPECT_EQ(scalar_type(parse_as<Precision>("bfloat16")), at::kBFloat16);
  EXPECT_THROW(parse_as<Precision>("fp32"), ConfigError);
}

TEST(Precision, AutoIsSettledByTheDevice) {
  EXPECT_EQ(settled(Precision::kFloat16, at::kCPU), Precision::kFloat16);
  const auto precision = settled(parse_as<Precision>("auto"), at::kCPU);
  EXPECT_TRUE(precision == Precision::kFloat32 || precision == Precision::kBFloat16);
  EXPECT_THROW(scalar_type(Precision::kAuto), std::invalid_argument);
}

TEST(Json, ReplacesWhatIsNotUtf8AndKeepsTheOrder) {
  Json value;
  value["z"] = "caf\xE9";
  value["a"] = 1;
  EXPECT_EQ(dump_json(value), "{\"z\":\"caf\xEF\xBF\xBD\",\"a\":1}");
}

}  // namespace
}  // namespace nagl
