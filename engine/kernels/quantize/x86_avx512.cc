#include <immintrin.h>

#include "engine/kernels/quantize/quantize.h"

namespace bitlm::avx512 {
namespace {

inline __attribute__((always_inline)) __mmask16 Lanes(size_t rest) {
  return rest >= 16 ? static_cast<__mmask16>(0xffff) : static_cast<__mmask16>((1u << rest) - 1);
}

float MaxMagnitude(const float* x, size_t columns) {
  __m512 max = _mm512_setzero_ps();
  for (size_t k = 0; k < columns; k += 16) {
    const __m512 magnitude = _mm512_abs_ps(_mm512_maskz_loadu_ps(Lanes(columns - k), x + k));
    max = _mm512_max_ps(magnitude, max);  // The second operand, where the first is NaN.
  }
  return _mm512_reduce_max_ps(max);
}

int32_t QuantizeRow(const QuantizeArgs& args, const float* x, float inverse_scale, int8_t* q) {
  const float bound = args.planes == 1 ? 127.0f : 16256.0f;
  const __m512 inverse = _mm512_set1_ps(inverse_scale);
  const __m512 limit = _mm512_set1_ps(bound);
  const __m512 minus_limit = _mm512_set1_ps(-bound);
  __m512i total = _mm512_setzero_si512();
  for (size_t k = 0; k < args.columns; k += 16) {
    const __mmask16 lanes = Lanes(args.columns - k);
    __m512 t = _mm512_mul_ps(_mm512_maskz_loadu_ps(lanes, x + k), inverse);
    t = _mm512_max_ps(_mm512_min_ps(t, limit), minus_limit);
    const __m512i value = _mm512_maskz_cvtps_epi32(lanes, t);
    total = _mm512_add_epi32(total, value);
    if (args.planes == 1) {
      _mm512_mask_cvtepi32_storeu_epi8(q + k, lanes, value);
    } else {
      const __m512i high = _mm512_srai_epi32(_mm512_add_epi32(value, _mm512_set1_epi32(64)), 7);
      const __m512i low = _mm512_sub_epi32(value, _mm512_slli_epi32(high, 7));
      _mm512_mask_cvtepi32_storeu_epi8(q + k, lanes, high);
      _mm512_mask_cvtepi32_storeu_epi8(q + args.q_stride + k, lanes, low);
    }
  }
  return _mm512_reduce_add_epi32(total);
}

}  // namespace

void Quantize(const QuantizeArgs& args) {
  const float limit = args.planes == 1 ? 127.0f : 16256.0f;
  const bool row_maximum = args.scale == QuantizationScale::kRowMaximum;
  for (size_t b = 0; b < args.batch; ++b) {
    const float* x = args.rows[b];
    const size_t row_bytes = static_cast<size_t>(args.planes) * args.q_stride;
    int8_t* q = args.q + b * row_bytes;
    __builtin_memset(q, 0, row_bytes);
    float inverse = limit;
    float scale = 1.0f / limit;
    if (row_maximum) {
      const float max = x == nullptr ? 0.0f : MaxMagnitude(x, args.columns);
      const bool zero = max < kSmallestMagnitude;
      inverse = limit / max;
      scale = zero ? 0.0f : max / limit;
      if (zero) x = nullptr;
    }
    args.scales[b] = scale;
    args.totals[b] = x == nullptr ? 0 : QuantizeRow(args, x, inverse, q);
  }
}

}  // namespace bitlm::avx512
