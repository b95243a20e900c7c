// lstm_cell: gates to the next hidden and cell state.
#pragma once

#include <cstddef>
#include <span>

#include "engine/kernels/variant.h"

namespace bitlm {

// [LCY18] equation 3, after the products, for each unit j, with the gates in the order i f g o:
//   c = fma(sigmoid(f), c_previous, sigmoid(i) * tanh(g))
//   h = sigmoid(o) * tanh(c)
struct LstmCellArgs {
  const float* gates = nullptr;  // [batch][gates_stride]; four times `hidden` values, i f g o.
  size_t gates_stride = 0;
  size_t hidden = 0;
  size_t batch = 0;
  const float* const* c_previous = nullptr;  // [batch] of [hidden]; null = zeros.
  float* const* h = nullptr;                 // [batch] of [hidden]; out.
  float* const* c = nullptr;                 // [batch] of [hidden]; may equal c_previous; out.
};

using LstmCellFn = void(const LstmCellArgs& args);

std::span<const Variant<LstmCellFn>> LstmCellVariants();

}  // namespace bitlm
