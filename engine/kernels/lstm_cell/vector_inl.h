// lstm_cell on the lanes of BITLM_LANES (kernels/simd).
#pragma once

#include BITLM_LANES

#include "engine/kernels/elementary/vector_inl.h"
#include "engine/kernels/lstm_cell/lstm_cell.h"

namespace bitlm::BITLM_ISA {

void LstmCell(const LstmCellArgs& args) {
  const size_t hidden = args.hidden;
  for (size_t b = 0; b < args.batch; ++b) {
    const float* gates = args.gates + b * args.gates_stride;
    const float* previous = args.c_previous[b];
    for (size_t j = 0; j < hidden; j += 16) {
      const size_t rest = hidden - j;
      const F32 i = Sigmoid(LoadFirst(gates + j, rest));
      const F32 f = Sigmoid(LoadFirst(gates + hidden + j, rest));
      const F32 g = Tanh(LoadFirst(gates + 2 * hidden + j, rest));
      const F32 o = Sigmoid(LoadFirst(gates + 3 * hidden + j, rest));
      const F32 old = previous == nullptr ? Set(0.0f) : LoadFirst(previous + j, rest);
      const F32 c = Fma(f, old, Mul(i, g));
      StoreFirst(args.c[b] + j, c, rest);
      StoreFirst(args.h[b] + j, Mul(o, Tanh(c)), rest);
    }
  }
}

}  // namespace bitlm::BITLM_ISA
