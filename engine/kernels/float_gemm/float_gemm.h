// float_gemm: products of a float matrix with float rows, columns added in ascending order by fma.
#pragma once

#include <cstddef>
#include <span>

#include "engine/kernels/variant.h"

namespace bitlm {

// For k = 0 … columns - 1: acc = fma(w[r][k], x[b][k], acc), starting from `out` itself when
// `accumulate`, else from bias[r], else from 0; then out[b][r] = acc.
struct FloatGemmArgs {
  const float* panels = nullptr;  // [row_panels][columns][16], as PackFloatPanels writes them.
  size_t row_panels = 0;
  size_t columns = 0;
  const float* x = nullptr;  // [batch][x_stride].
  size_t x_stride = 0;
  size_t batch = 0;
  const float* bias = nullptr;  // [16 * row_panels] or null.
  bool accumulate = false;      // Then `bias` is not read.
  float* out = nullptr;         // [batch][out_stride]; 16 * row_panels values of each row.
  size_t out_stride = 0;
};

using FloatGemmFn = void(const FloatGemmArgs& args);

std::span<const Variant<FloatGemmFn>> FloatGemmVariants();

}  // namespace bitlm
