#include "nagl/core/sha256.h"

#include "core/sha256_vectors.h"
#include "nagl/core/error.h"
#include "support.h"

namespace nagl {
namespace {

TEST(Sha256, GivesThePublishedExamples) { testing::expect_sha256<Sha256>(); }

TEST(Sha256, OfAFile) {
  const testing::TemporaryFolder folder;
  testing::spill(folder / "file", "abc");
  EXPECT_EQ(sha256_of_file(folder / "file"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_THROW(sha256_of_file(folder / "absent"), DataError);
}

}  // namespace
}  // namespace nagl
