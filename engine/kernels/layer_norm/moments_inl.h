// The mean of a row and the inverse of its standard deviation on the lanes of BITLM_LANES
// (kernels/simd).
#pragma once

#include BITLM_LANES

#include "engine/kernels/layer_norm/layer_norm.h"

namespace bitlm::BITLM_ISA {

struct Moments {
  F32 mean;
  F32 inverse;
};

BITLM_INLINE Moments RowMoments(const float* x, size_t n) {
  const F32 count = Set(static_cast<float>(n));
  F32 sum = Set(0.0f);
  for (size_t i = 0; i < n; i += 16) sum = Add(sum, LoadFirst(x + i, n - i));
  const F32 mean = Div(Set(SumLanes(sum)), count);
  F32 squares = Set(0.0f);
  for (size_t i = 0; i < n; i += 16) {
    const F32 d = Sub(LoadFirst(x + i, n - i), mean);
    squares = Select(FirstLanes(n - i), Fma(d, d, squares), squares);
  }
  const F32 variance = Div(Set(SumLanes(squares)), count);
  return {mean, Div(Set(1.0f), SquareRoot(Add(variance, Set(kLayerNormEpsilon))))};
}

}  // namespace bitlm::BITLM_ISA
