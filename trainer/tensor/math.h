// Scalar functions of the trainer, written so that the compiler vectorizes loops over them: no
// branches, no libm in float.
//
// These are the trainer's own: accurate to a few units in the last place, and free to change. The
// serving engine's functions, whose bits are a promise, are in engine/kernels.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

// Compiles a function for several instruction sets and picks one when the program starts.
// Sanitizers do not support the resolver that this needs.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define BITLM_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define BITLM_CLONES
#endif
#define BITLM_ALWAYS_INLINE inline __attribute__((always_inline))

namespace bitlm::trainer {

// exp(x); x is clamped to [-87, 87]. Relative error below 2e-7.
BITLM_ALWAYS_INLINE float Exp(float x) {
  x = x < -87.0f ? -87.0f : x;
  x = x > 87.0f ? 87.0f : x;
  // Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits of the sum.
  const float shifted = x * 1.44269504f + 12582912.0f;
  const float n = shifted - 12582912.0f;
  float r = x - n * 0.693359375f;
  r = r + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;  // Cephes expf coefficients.
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.0f;
  const int32_t exponent = std::bit_cast<int32_t>(shifted) << 23;
  return std::bit_cast<float>(std::bit_cast<int32_t>(p) + exponent);
}
BITLM_ALWAYS_INLINE double Exp(double x) { return std::exp(x); }

template <typename Real>
BITLM_ALWAYS_INLINE Real Sigmoid(Real x) {
  return Real(1) / (Real(1) + Exp(-x));
}

BITLM_ALWAYS_INLINE float Tanh(float x) { return 2.0f * Sigmoid(2.0f * x) - 1.0f; }
BITLM_ALWAYS_INLINE double Tanh(double x) { return std::tanh(x); }

// Rounds to nearest even; the bits of a bfloat16. NaN is not expected.
BITLM_ALWAYS_INLINE uint16_t ToBfloat16(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

}  // namespace bitlm::trainer
