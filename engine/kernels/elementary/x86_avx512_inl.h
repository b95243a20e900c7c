// The AVX-512 forms of elementary.h, lane by lane the same operations. For x86_avx512.cc files,
// after immintrin.h; static, so that no copy of them can be shared with other files.
#pragma once

#include "engine/kernels/elementary/elementary.h"

namespace bitlm::avx512 {

// _mm512_max_ps(a, b) is a > b ? a : b and _mm512_min_ps(a, b) is a < b ? a : b, for NaN as well.
static inline __attribute__((always_inline)) __m512 Exp(__m512 x) {
  using namespace elementary;  // NOLINT: constants only.
  const __m512 low = _mm512_set1_ps(kExpLow);
  const __m512 round = _mm512_set1_ps(kRound);
  __m512 t = _mm512_max_ps(x, low);
  t = _mm512_min_ps(t, _mm512_set1_ps(kExpHigh));
  const __m512 shifted = _mm512_fmadd_ps(t, _mm512_set1_ps(kLog2E), round);
  const __m512 n = _mm512_sub_ps(shifted, round);
  __m512 r = _mm512_fmadd_ps(n, _mm512_set1_ps(-kLn2High), t);
  r = _mm512_fmadd_ps(n, _mm512_set1_ps(-kLn2Low), r);
  __m512 p = _mm512_set1_ps(kExpPoly[0]);
  for (int i = 1; i < 6; ++i) p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(kExpPoly[i]));
  p = _mm512_add_ps(_mm512_fmadd_ps(p, _mm512_mul_ps(r, r), r), _mm512_set1_ps(1.0f));
  const __m512i exponent =
      _mm512_sub_epi32(_mm512_castps_si512(shifted), _mm512_set1_epi32(kRoundBits - 127));
  const __m512 y = _mm512_mul_ps(p, _mm512_castsi512_ps(_mm512_slli_epi32(exponent, 23)));
  return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, low, _CMP_GT_OQ), y);
}

static inline __attribute__((always_inline)) __m512 Sigmoid(__m512 x) {
  const __m512 one = _mm512_set1_ps(1.0f);
  const __m512 minus_x =
      _mm512_castsi512_ps(_mm512_xor_si512(_mm512_castps_si512(x), _mm512_set1_epi32(INT32_MIN)));
  return _mm512_div_ps(one, _mm512_add_ps(one, Exp(minus_x)));
}

static inline __attribute__((always_inline)) __m512 Tanh(__m512 x) {
  using namespace elementary;  // NOLINT: constants only.
  __m512 t = _mm512_max_ps(x, _mm512_set1_ps(-kTanhLimit));
  t = _mm512_min_ps(t, _mm512_set1_ps(kTanhLimit));
  const __m512 z = _mm512_mul_ps(t, t);
  __m512 p = _mm512_set1_ps(kTanhP[0]);
  for (int i = 1; i < 7; ++i) p = _mm512_fmadd_ps(p, z, _mm512_set1_ps(kTanhP[i]));
  __m512 q = _mm512_set1_ps(kTanhQ[0]);
  for (int i = 1; i < 4; ++i) q = _mm512_fmadd_ps(q, z, _mm512_set1_ps(kTanhQ[i]));
  return _mm512_mul_ps(t, _mm512_div_ps(p, q));
}

}  // namespace bitlm::avx512
