// The implementation for builds without OpenSSL, under a name of its own: the library may hold the
// other.
#define Sha256 PlainSha256
#include "../../src/core/plain/sha256.cpp"
#undef Sha256

#include "core/sha256_vectors.h"

namespace nagl {
namespace {

TEST(PlainSha256, GivesThePublishedExamples) { testing::expect_sha256<PlainSha256>(); }

}  // namespace
}  // namespace nagl
