#include <cmath>

#include "engine/kernels/elementary/elementary.h"
#include "engine/kernels/lstm_cell/lstm_cell.h"

namespace bitlm::portable {

void LstmCell(const LstmCellArgs& args) {
  using elementary::Sigmoid;
  using elementary::Tanh;
  const size_t hidden = args.hidden;
  for (size_t b = 0; b < args.batch; ++b) {
    const float* gates = args.gates + b * args.gates_stride;
    for (size_t j = 0; j < hidden; ++j) {
      const float previous = args.c_previous[b] == nullptr ? 0.0f : args.c_previous[b][j];
      const float input = Sigmoid(gates[j]) * Tanh(gates[2 * hidden + j]);
      const float c = std::fma(Sigmoid(gates[hidden + j]), previous, input);
      args.c[b][j] = c;
      args.h[b][j] = Sigmoid(gates[3 * hidden + j]) * Tanh(c);
    }
  }
}

}  // namespace bitlm::portable
