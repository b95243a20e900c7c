// exp, log, sigmoid and tanh of the reproducible numerics (docs/numerics.md, section 4): IEEE add,
// multiply, divide, fma and bit operations in one fixed order. These scalar forms are the
// specification; vector forms repeat them operation by operation.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace bitlm::elementary {

// Below kExpLow (and for NaN) Exp is 0; above kExpHigh it is Exp(kExpHigh).
inline constexpr float kExpLow = -87.0f;
inline constexpr float kExpHigh = 88.0f;
inline constexpr float kLog2E = 0x1.715476p+0f;
// ln 2 in two parts; n * kLn2High is exact for |n| < 2^9.
inline constexpr float kLn2High = 0x1.63p-1f;
inline constexpr float kLn2Low = -0x1.bd0106p-13f;
// Adding 1.5 * 2^23 rounds to an integer, ties to even, and leaves it in the low bits.
inline constexpr float kRound = 0x1.8p+23f;
inline constexpr int32_t kRoundBits = 0x4B400000;
// (exp(r) - 1 - r) / r^2 on |r| <= ln 2 / 2, highest degree first (Cephes expf).
inline constexpr float kExpPoly[6] = {1.9875691500e-4f, 1.3981999507e-3f, 8.3334519073e-3f,
                                      4.1665795894e-2f, 1.6666665459e-1f, 5.0000001201e-1f};

// Beyond kTanhLimit tanh rounds to 1 - 2^-23 or 1: the argument is clamped there.
inline constexpr float kTanhLimit = 7.90531110763549805f;
// tanh(x) = x * P(x^2) / Q(x^2), highest degree first (the minimax fit of Eigen's ptanh).
inline constexpr float kTanhP[7] = {
    -2.76076847742355e-16f, 2.00018790482477e-13f, -8.60467152213735e-11f, 5.12229709037114e-08f,
    1.48572235717979e-05f,  6.37261928875436e-04f, 4.89352455891786e-03f};
inline constexpr float kTanhQ[4] = {1.19825839466702e-06f, 1.18534705686654e-04f,
                                    2.26843463243900e-03f, 4.89352518554385e-03f};

inline float Exp(float x) {
  float t = x > kExpLow ? x : kExpLow;  // NaN compares false: it becomes kExpLow.
  t = t < kExpHigh ? t : kExpHigh;
  const float shifted = std::fma(t, kLog2E, kRound);
  const float n = shifted - kRound;
  float r = std::fma(n, -kLn2High, t);
  r = std::fma(n, -kLn2Low, r);
  float p = kExpPoly[0];
  for (int i = 1; i < 6; ++i) p = std::fma(p, r, kExpPoly[i]);
  p = std::fma(p, r * r, r) + 1.0f;
  // n + 127 is in [1, 254]: 2^n is an exponent and nothing else.
  const int32_t exponent = std::bit_cast<int32_t>(shifted) - kRoundBits + 127;
  const float y = p * std::bit_cast<float>(exponent << 23);
  return x > kExpLow ? y : 0.0f;
}

inline float Sigmoid(float x) { return 1.0f / (1.0f + Exp(-x)); }

inline float Tanh(float x) {
  float t = x > -kTanhLimit ? x : -kTanhLimit;
  t = t < kTanhLimit ? t : kTanhLimit;
  const float z = t * t;
  float p = kTanhP[0];
  for (int i = 1; i < 7; ++i) p = std::fma(p, z, kTanhP[i]);
  float q = kTanhQ[0];
  for (int i = 1; i < 4; ++i) q = std::fma(q, z, kTanhQ[i]);
  return t * (p / q);
}

// Natural logarithm of a positive normal number (FreeBSD msun's logf). Once per softmax row, so it
// has no vector form.
inline float Log(float x) {
  constexpr float kLnHigh = 6.9313812256e-01f;
  constexpr float kLnLow = 9.0580006145e-06f;
  constexpr float kL1 = 0.66666662693f;
  constexpr float kL2 = 0.40000972152f;
  constexpr float kL3 = 0.28498786688f;
  constexpr float kL4 = 0.24279078841f;
  // x = 2^k * m with m in [sqrt(1/2), sqrt(2)).
  uint32_t bits = std::bit_cast<uint32_t>(x) + (0x3f800000u - 0x3f3504f3u);
  const float k = static_cast<float>(static_cast<int32_t>(bits >> 23) - 127);
  bits = (bits & 0x007fffffu) + 0x3f3504f3u;
  const float f = std::bit_cast<float>(bits) - 1.0f;
  const float s = f / (2.0f + f);
  const float z = s * s;
  const float w = z * z;
  const float r = z * (kL1 + w * kL3) + w * (kL2 + w * kL4);
  const float half = 0.5f * f * f;
  return s * (half + r) + k * kLnLow - half + f + k * kLnHigh;
}

}  // namespace bitlm::elementary
