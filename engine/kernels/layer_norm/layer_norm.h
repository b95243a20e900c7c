// layer_norm: rows with their mean taken off and divided by their standard deviation.
#pragma once

#include <cstddef>
#include <span>

#include "engine/kernels/variant.h"

namespace bitlm {

// Added to the variance. Part of the numerics.
inline constexpr float kLayerNormEpsilon = 1e-5f;

// Layer normalization (Ba, Kiros, Hinton 2016, arXiv:1607.06450, equations 3 and 4), for each row:
//   mean = sum of x / n, variance = sum of (x - mean)^2 / n, inverse = 1 / sqrt(variance + epsilon)
//   y = fma(gain, (x - mean) * inverse, shift)
// A sum has 16 lanes, lane = index % 16, added in ascending order from 0 (squares by fma); then
// lanes l and l + 8 are added, then l and l + 4, l + 2, l + 1.
struct LayerNormArgs {
  const float* x = nullptr;  // [batch][x_stride], `columns` values of each; may be `out`.
  size_t x_stride = 0;
  size_t columns = 0;  // n, at least 1.
  size_t batch = 0;
  const float* gain = nullptr;   // [columns].
  const float* shift = nullptr;  // [columns]; null: `out` as it was, so that products add up.
  float* out = nullptr;          // [batch][out_stride]; out.
  size_t out_stride = 0;
};

using LayerNormFn = void(const LayerNormArgs& args);

std::span<const Variant<LayerNormFn>> LayerNormVariants();

}  // namespace bitlm
