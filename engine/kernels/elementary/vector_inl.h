// The forms of elementary.h for sixteen lanes, lane by lane the same operations. BITLM_LANES names
// the header of kernels/simd.
#pragma once

#include BITLM_LANES

#include "engine/kernels/elementary/elementary.h"

namespace bitlm::BITLM_ISA {

// Exp of kExpLow to kExpHigh, of each of several vectors in place.
template <int kCount>
BITLM_INLINE void ExpInRange(F32 (&t)[kCount]) {
  using namespace elementary;  // NOLINT: constants only.
  const auto each = [](const auto& step) __attribute__((always_inline)) {
    for (int i = 0; i < kCount; ++i) step(i);
  };
  F32 shifted[kCount], n[kCount], p[kCount];
  each([&](int i) { shifted[i] = Fma(t[i], Set(kLog2E), Set(kRound)); });
  each([&](int i) { n[i] = Sub(shifted[i], Set(kRound)); });
  each([&](int i) { t[i] = Fma(n[i], Set(-kLn2High), t[i]); });
  each([&](int i) { t[i] = Fma(n[i], Set(-kLn2Low), t[i]); });
  each([&](int i) { p[i] = Set(kExpPoly[0]); });
  for (int j = 1; j < 6; ++j) each([&](int i) { p[i] = Fma(p[i], t[i], Set(kExpPoly[j])); });
  each([&](int i) { p[i] = Add(Fma(p[i], Mul(t[i], t[i]), t[i]), Set(1.0f)); });
  each([&](int i) {
    const I32 exponent = Sub(BitsOf(shifted[i]), SetInt(kRoundBits - 127));
    t[i] = Mul(p[i], FromBits(ShiftLeft<23>(exponent)));
  });
}

BITLM_INLINE F32 ExpInRange(F32 t) {
  F32 one[] = {t};
  ExpInRange(one);
  return one[0];
}

BITLM_INLINE F32 Exp(F32 x) {
  const F32 low = Set(elementary::kExpLow);
  const F32 y = ExpInRange(Min(Max(x, low), Set(elementary::kExpHigh)));
  return Select(Greater(x, low), y, Set(0.0f));
}

BITLM_INLINE F32 Sigmoid(F32 x) {
  const F32 one = Set(1.0f);
  const F32 minus_x = FromBits(Xor(BitsOf(x), SetInt(INT32_MIN)));
  return Div(one, Add(one, Exp(minus_x)));
}

BITLM_INLINE F32 Tanh(F32 x) {
  using namespace elementary;  // NOLINT: constants only.
  const F32 t = Min(Max(x, Set(-kTanhLimit)), Set(kTanhLimit));
  const F32 z = Mul(t, t);
  F32 p = Set(kTanhP[0]);
  for (int i = 1; i < 7; ++i) p = Fma(p, z, Set(kTanhP[i]));
  F32 q = Set(kTanhQ[0]);
  for (int i = 1; i < 4; ++i) q = Fma(q, z, Set(kTanhQ[i]));
  return Mul(t, Div(p, q));
}

}  // namespace bitlm::BITLM_ISA
