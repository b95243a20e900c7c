// The forms of elementary.h for sixteen lanes, lane by lane the same operations. BITLM_LANES names
// the header of kernels/simd.
#pragma once

#include BITLM_LANES

#include "engine/kernels/elementary/elementary.h"

namespace bitlm::BITLM_ISA {

// Exp of kExpLow to kExpHigh.
BITLM_INLINE F32 ExpInRange(F32 t) {
  using namespace elementary;  // NOLINT: constants only.
  const F32 shifted = Fma(t, Set(kLog2E), Set(kRound));
  const F32 n = Sub(shifted, Set(kRound));
  F32 r = Fma(n, Set(-kLn2High), t);
  r = Fma(n, Set(-kLn2Low), r);
  F32 p = Set(kExpPoly[0]);
  for (int i = 1; i < 6; ++i) p = Fma(p, r, Set(kExpPoly[i]));
  p = Add(Fma(p, Mul(r, r), r), Set(1.0f));
  const I32 exponent = Sub(BitsOf(shifted), SetInt(kRoundBits - 127));
  return Mul(p, FromBits(ShiftLeft<23>(exponent)));
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
