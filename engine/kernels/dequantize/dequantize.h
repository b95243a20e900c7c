// dequantize: exact integer sums to the outputs of a binary layer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "engine/kernels/variant.h"

namespace bitlm {

// Algorithm 1 of [LCY18] after the product, y = s * exp(gamma) + b, for one or two inputs that
// share a row's scale. For each row r of batch row b, in this order:
//   a = x_scales[b] * float(x_sums[b][r])
//   a = fma(h_scales[b], float(h_sums[b][r]), a)      when h_sums is given
//   y = fma(row_scales[r], a, bias[r])                when row_scales is given (0 without bias)
//   y = a + bias[r]                                   when it is not; y = a without bias as well
// `accumulate`: the y of a call before stands for the bias, which is not read.
struct DequantizeArgs {
  const int32_t* x_sums = nullptr;    // [batch][sums_stride].
  const float* x_scales = nullptr;    // [batch].
  const int32_t* h_sums = nullptr;    // [batch][sums_stride] or null.
  const float* h_scales = nullptr;    // [batch]; with h_sums.
  const float* row_scales = nullptr;  // [rows] or null.
  const float* bias = nullptr;        // [rows] or null.
  bool accumulate = false;
  size_t rows = 0;
  size_t sums_stride = 0;
  size_t batch = 0;
  float* out = nullptr;  // [batch][out_stride]; out, with `accumulate` also in.
  size_t out_stride = 0;
};

using DequantizeFn = void(const DequantizeArgs& args);

std::span<const Variant<DequantizeFn>> DequantizeVariants();

}  // namespace bitlm
