// The mean of a row and the inverse of its standard deviation, as layer_norm.h defines them; for
// the portable variants.
#pragma once

#include <cmath>
#include <cstddef>

#include "engine/kernels/layer_norm/layer_norm.h"

namespace bitlm::portable {

struct Moments {
  float mean;
  float inverse;
};

inline float SumLanes(float (&lanes)[16]) {
  for (size_t half = 8; half > 0; half /= 2) {
    for (size_t lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
  }
  return lanes[0];
}

inline Moments RowMoments(const float* x, size_t n) {
  float sums[16] = {};
  for (size_t i = 0; i < n; ++i) sums[i % 16] += x[i];
  const float count = static_cast<float>(n);
  const float mean = SumLanes(sums) / count;
  float squares[16] = {};
  for (size_t i = 0; i < n; ++i) {
    const float d = x[i] - mean;
    squares[i % 16] = std::fma(d, d, squares[i % 16]);
  }
  const float variance = SumLanes(squares) / count;
  return {.mean = mean, .inverse = 1.0f / std::sqrt(variance + kLayerNormEpsilon)};
}

}  // namespace bitlm::portable
