#pragma once

#include <gtest/gtest.h>

#include <string>

namespace nagl::testing {

/// Holds an implementation against published sums, and against itself in pieces.
template <typename Sum>
void expect_sha256() {
  // FIPS 180-4 examples; the last is one million times the letter a.
  EXPECT_EQ(Sum().hex(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Sum().update("abc").hex(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Sum().update("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq").hex(),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(Sum().update(std::string(1000000, 'a')).hex(),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");

  std::string text;
  for (int i = 0; i < 300; ++i) text += static_cast<char>(i);
  const std::string whole = Sum().update(text).hex();
  for (const std::size_t piece : {1, 7, 55, 63, 64, 65, 128}) {
    Sum sum;
    for (std::size_t at = 0; at < text.size(); at += piece) sum.update(text.substr(at, piece));
    EXPECT_EQ(sum.hex(), whole) << piece;
  }
}

}  // namespace nagl::testing
