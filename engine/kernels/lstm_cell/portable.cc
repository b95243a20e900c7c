#include <cmath>

#include "engine/kernels/elementary/elementary.h"
#include "engine/kernels/layer_norm/moments.h"
#include "engine/kernels/lstm_cell/lstm_cell.h"

namespace bitlm::portable {
namespace {

float Gate(const LstmCellArgs& args, size_t b, size_t r) {
  const GateSums& sums = args.sums;
  if (sums.x_sums == nullptr) return args.gates[b * args.gates_stride + r];
  const float x = sums.x_scales[b] * static_cast<float>(sums.x_sums[b * sums.stride + r]);
  const float h_sum = static_cast<float>(sums.h_sums[b * sums.stride + r]);
  if (sums.h_row_scales == nullptr) {
    return std::fma(sums.row_scales[r], std::fma(sums.h_scales[b], h_sum, x), sums.bias[r]);
  }
  return std::fma(sums.h_row_scales[r], sums.h_scales[b] * h_sum,
                  std::fma(sums.row_scales[r], x, sums.bias[r]));
}

}  // namespace

void LstmCell(const LstmCellArgs& args) {
  using elementary::Sigmoid;
  using elementary::Tanh;
  const size_t hidden = args.hidden;
  for (size_t b = 0; b < args.batch; ++b) {
    for (size_t j = 0; j < hidden; ++j) {
      const float previous = args.c_previous[b] == nullptr ? 0.0f : args.c_previous[b][j];
      const float input = Sigmoid(Gate(args, b, j)) * Tanh(Gate(args, b, 2 * hidden + j));
      args.c[b][j] = std::fma(Sigmoid(Gate(args, b, hidden + j)), previous, input);
    }
    const float* c = args.c[b];
    Moments moments{};
    if (args.c_gain != nullptr) moments = RowMoments(c, hidden);
    for (size_t j = 0; j < hidden; ++j) {
      const float normal =
          args.c_gain == nullptr
              ? c[j]
              : std::fma(args.c_gain[j], (c[j] - moments.mean) * moments.inverse, args.c_shift[j]);
      args.h[b][j] = Sigmoid(Gate(args, b, 3 * hidden + j)) * Tanh(normal);
    }
  }
}

}  // namespace bitlm::portable
