#include <immintrin.h>

#include "engine/kernels/elementary/x86_avx512_inl.h"
#include "engine/kernels/output_softmax/output_softmax.h"

namespace bitlm::avx512 {
namespace {

inline __attribute__((always_inline)) __mmask16 Lanes(size_t rest) {
  return rest >= 16 ? static_cast<__mmask16>(0xffff) : static_cast<__mmask16>((1u << rest) - 1);
}

// ((l0+l8)+(l4+l12)) + … : the tree of the portable variant.
inline __attribute__((always_inline)) float AddLanes(__m512 x) {
  const __m256 y = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
  const __m128 z = _mm_add_ps(_mm256_castps256_ps128(y), _mm256_extractf128_ps(y, 1));
  const __m128 w = _mm_add_ps(z, _mm_movehl_ps(z, z));
  return _mm_cvtss_f32(_mm_add_ss(w, _mm_movehdup_ps(w)));
}

}  // namespace

SoftmaxPart SoftmaxTile(const float* logits, size_t count) {
  const __m512 lowest = _mm512_set1_ps(-__builtin_inff());
  __m512 maxima = lowest;
  for (size_t v = 0; v < count; v += 16) {
    maxima = _mm512_max_ps(_mm512_mask_loadu_ps(lowest, Lanes(count - v), logits + v), maxima);
  }
  const float max = _mm512_reduce_max_ps(maxima);
  const __m512 all_max = _mm512_set1_ps(max);
  __m512 sum = _mm512_setzero_ps();
  for (size_t v = 0; v < count; v += 16) {
    const __mmask16 lanes = Lanes(count - v);
    const __m512 x = _mm512_sub_ps(_mm512_maskz_loadu_ps(lanes, logits + v), all_max);
    sum = _mm512_mask_add_ps(sum, lanes, sum, Exp(x));
  }
  return {.max = max, .sum = AddLanes(sum)};
}

int32_t CountBefore(const CountBeforeArgs& args) {
  const __m512 logit = _mm512_set1_ps(args.logit);
  const __m512i id = _mm512_set1_epi32(args.id);
  __m512i ids =
      _mm512_add_epi32(_mm512_set1_epi32(args.first_id),
                       _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
  int32_t before = 0;
  for (size_t v = 0; v < args.count; v += 16) {
    const __mmask16 lanes = Lanes(args.count - v);
    const __m512 x = _mm512_maskz_loadu_ps(lanes, args.logits + v);
    const __mmask16 above = _mm512_mask_cmp_ps_mask(lanes, x, logit, _CMP_GT_OQ);
    const __mmask16 equal = _mm512_mask_cmp_ps_mask(lanes, x, logit, _CMP_EQ_OQ);
    const __mmask16 earlier = _mm512_mask_cmplt_epi32_mask(equal, ids, id);
    before += __builtin_popcount(static_cast<unsigned>(above | earlier));
    ids = _mm512_add_epi32(ids, _mm512_set1_epi32(16));
  }
  return before;
}

}  // namespace bitlm::avx512
