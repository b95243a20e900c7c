#include <immintrin.h>

#include "engine/kernels/elementary/x86_avx512_inl.h"
#include "engine/kernels/lstm_cell/lstm_cell.h"

namespace bitlm::avx512 {

void LstmCell(const LstmCellArgs& args) {
  const size_t hidden = args.hidden;
  for (size_t b = 0; b < args.batch; ++b) {
    const float* gates = args.gates + b * args.gates_stride;
    const float* previous = args.c_previous[b];
    for (size_t j = 0; j < hidden; j += 16) {
      const size_t rest = hidden - j;
      const __mmask16 lanes =
          rest >= 16 ? static_cast<__mmask16>(0xffff) : static_cast<__mmask16>((1u << rest) - 1);
      const __m512 i = Sigmoid(_mm512_maskz_loadu_ps(lanes, gates + j));
      const __m512 f = Sigmoid(_mm512_maskz_loadu_ps(lanes, gates + hidden + j));
      const __m512 g = Tanh(_mm512_maskz_loadu_ps(lanes, gates + 2 * hidden + j));
      const __m512 o = Sigmoid(_mm512_maskz_loadu_ps(lanes, gates + 3 * hidden + j));
      const __m512 old =
          previous == nullptr ? _mm512_setzero_ps() : _mm512_maskz_loadu_ps(lanes, previous + j);
      const __m512 c = _mm512_fmadd_ps(f, old, _mm512_mul_ps(i, g));
      _mm512_mask_storeu_ps(args.c[b] + j, lanes, c);
      _mm512_mask_storeu_ps(args.h[b] + j, lanes, _mm512_mul_ps(o, Tanh(c)));
    }
  }
}

}  // namespace bitlm::avx512
