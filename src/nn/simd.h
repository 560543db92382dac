#pragma once

#include <bit>
#include <cstdint>

// One version for every x86-64 processor and one each for those with AVX2 and AVX-512 (with its
// parts for 16 bit, which GCC names by a level of x86-64), chosen when the program starts. Files
// that use it are compiled with -fno-trapping-math, without which comparisons in loops cannot be
// vectorised. Under sanitizers there is one version: the choice runs before ThreadSanitizer has
// begun, and crashes.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__SANITIZE_THREAD__) && \
    !defined(__SANITIZE_ADDRESS__)
#ifdef __clang__
#define NAGL_SIMD __attribute__((target_clones("default", "avx2", "avx512bw")))
#else
#define NAGL_SIMD __attribute__((target_clones("default", "avx2", "arch=x86-64-v4")))
#endif
#else
#define NAGL_SIMD
#endif
#define NAGL_INLINE inline __attribute__((always_inline))

namespace nagl {

/// e^x for x <= 0, relative error 2e-7: 2^n times a polynomial in what is left of x. Like the one
/// below, NaN of NaN, which is why comparisons stand as they do.
NAGL_INLINE float exp_negative(float x) {
  constexpr float kLog2e = 1.44269504F, kLn2High = 0.693359375F, kLn2Low = -2.12194440e-4F;
  constexpr float kRound = 12582912.0F;  // 1.5 * 2^23: adding it rounds to an integer
  x = x < -87.0F ? -87.0F : x;
  const float shifted = x * kLog2e + kRound, n = shifted - kRound;
  const float r = (x - n * kLn2High) - n * kLn2Low;
  float p = 1.0F / 720;
  p = p * r + 1.0F / 120;
  p = p * r + 1.0F / 24;
  p = p * r + 1.0F / 6;
  p = p * r + 0.5F;
  p = p * r + 1.0F;
  p = p * r + 1.0F;
  return p * std::bit_cast<float>((std::bit_cast<std::uint32_t>(shifted) + 127U) << 23);
}

/// 2^x for x <= 0, relative error 2e-7.
NAGL_INLINE float exp2_negative(float x) {
  constexpr float kRound = 12582912.0F;  // 1.5 * 2^23: adding it rounds to an integer
  x = x < -126.0F ? -126.0F : x;
  const float shifted = x + kRound, r = x - (shifted - kRound);
  float p = 1.32647258e-3F;  // minimax over [-1/2, 1/2]
  p = p * r + 9.67151274e-3F;
  p = p * r + 5.55073375e-2F;
  p = p * r + 2.40222421e-1F;
  p = p * r + 6.93146978e-1F;
  p = p * r + 1.0F;
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(p) +
                              (std::bit_cast<std::uint32_t>(shifted) << 23));
}

/// To bfloat16, the nearest, ties to even; NaN as processors make it stays NaN.
NAGL_INLINE std::uint16_t to_bfloat16(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  return static_cast<std::uint16_t>((bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16);
}

NAGL_INLINE float from_bfloat16(std::uint16_t x) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(x) << 16);
}

/// GELU, x times the normal distribution's integral up to x, absolute error 3e-7 (Abramowitz and
/// Stegun, 7.1.26).
NAGL_INLINE float gelu(float x) {
  constexpr float kRootHalf = 0.70710678F;
  const float away = x < 0 ? -x : x, z = away * kRootHalf;
  const float t = 1.0F / (1.0F + 0.3275911F * z);
  float p = 1.061405429F;
  p = p * t - 1.453152027F;
  p = p * t + 1.421413741F;
  p = p * t - 0.284496736F;
  p = p * t + 0.254829592F;
  const float power = -z * z;
  const float tail = 0.5F * p * t * exp_negative(power < -79.0F ? -79.0F : power);
  return x < 0 ? x * tail : x - x * tail;
}

}  // namespace nagl
