// lstm_cell: gates, or the integer products that make them, to the next hidden and cell state.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "engine/kernels/variant.h"

namespace bitlm {

// Sums of a gate's two products in place of its value, as kernels/dequantize has them. Of row r:
//   a = x_scales[b] * float(x_sums[b][r])
//   gate = fma(row_scales[r], fma(h_scales[b], float(h_sums[b][r]), a), bias[r])
// or, where W_h has scales of its own,
//   gate = fma(row_scales[r], a, bias[r])
//   gate = fma(h_row_scales[r], h_scales[b] * float(h_sums[b][r]), gate)
struct GateSums {
  const int32_t* x_sums = nullptr;  // [batch][stride]; null: there are gates instead.
  const int32_t* h_sums = nullptr;  // [batch][stride].
  size_t stride = 0;
  const float* x_scales = nullptr;      // [batch].
  const float* h_scales = nullptr;      // [batch].
  const float* row_scales = nullptr;    // [4 * hidden].
  const float* h_row_scales = nullptr;  // [4 * hidden] or null.
  const float* bias = nullptr;          // [4 * hidden].
};

// [LCY18] equation 3, after the products, for each unit j, with the gates in the order i f g o:
//   c = fma(sigmoid(f), c_previous, sigmoid(i) * tanh(g))
//   h = sigmoid(o) * tanh(c)
// With c_gain, tanh takes the layer norm of c (kernels/layer_norm, with c_gain and c_shift; Ba et
// al. 2016, arXiv:1607.06450, equation 22).
struct LstmCellArgs {
  const float* gates = nullptr;  // [batch][gates_stride]; four times `hidden` values, i f g o.
  size_t gates_stride = 0;
  GateSums sums = {};  // Instead of gates.
  size_t hidden = 0;
  size_t batch = 0;
  const float* c_gain = nullptr;             // [hidden] or null.
  const float* c_shift = nullptr;            // [hidden]; with c_gain.
  const float* const* c_previous = nullptr;  // [batch] of [hidden]; null = zeros.
  float* const* h = nullptr;                 // [batch] of [hidden]; out.
  float* const* c = nullptr;                 // [batch] of [hidden]; may equal c_previous; out.
};

using LstmCellFn = void(const LstmCellArgs& args);

std::span<const Variant<LstmCellFn>> LstmCellVariants();

}  // namespace bitlm
