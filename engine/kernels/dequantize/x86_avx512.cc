#include <immintrin.h>

#include "engine/kernels/dequantize/dequantize.h"

namespace bitlm::avx512 {

void Dequantize(const DequantizeArgs& args) {
  for (size_t b = 0; b < args.batch; ++b) {
    const int32_t* x_sums = args.x_sums + b * args.sums_stride;
    const int32_t* h_sums = args.h_sums == nullptr ? nullptr : args.h_sums + b * args.sums_stride;
    float* out = args.out + b * args.out_stride;
    const __m512 x_scale = _mm512_set1_ps(args.x_scales[b]);
    const __m512 h_scale = _mm512_set1_ps(h_sums == nullptr ? 0.0f : args.h_scales[b]);
    for (size_t r = 0; r < args.rows; r += 16) {
      const size_t rest = args.rows - r;
      const __mmask16 lanes =
          rest >= 16 ? static_cast<__mmask16>(0xffff) : static_cast<__mmask16>((1u << rest) - 1);
      __m512 a =
          _mm512_mul_ps(x_scale, _mm512_cvtepi32_ps(_mm512_maskz_loadu_epi32(lanes, x_sums + r)));
      if (h_sums != nullptr) {
        const __m512 sums = _mm512_cvtepi32_ps(_mm512_maskz_loadu_epi32(lanes, h_sums + r));
        a = _mm512_fmadd_ps(h_scale, sums, a);
      }
      const __m512 bias =
          args.bias == nullptr ? _mm512_setzero_ps() : _mm512_maskz_loadu_ps(lanes, args.bias + r);
      if (args.row_scales != nullptr) {
        a = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(lanes, args.row_scales + r), a, bias);
      } else if (args.bias != nullptr) {
        a = _mm512_add_ps(a, bias);
      }
      _mm512_mask_storeu_ps(out + r, lanes, a);
    }
  }
}

}  // namespace bitlm::avx512
