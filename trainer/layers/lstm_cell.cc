#include "trainer/layers/lstm_cell.h"

#include "trainer/tensor/math.h"

namespace bitlm::trainer {
namespace {

template <typename Real>
BITLM_ALWAYS_INLINE void Forward(const LstmCellForward<Real>& a) {
  const int64_t h = a.hidden;
  Real* __restrict i_gate = a.gates;
  Real* __restrict f_gate = a.gates + h;
  Real* __restrict g_gate = a.gates + 2 * h;
  Real* __restrict o_gate = a.gates + 3 * h;
  if (a.scale != nullptr) {
    for (int64_t j = 0; j < 4 * h; ++j)
      a.gates[j] = a.gates[j] * (a.scale[j] * a.factor) + a.bias[j];
  } else {
    for (int64_t j = 0; j < 4 * h; ++j) a.gates[j] = a.gates[j] * a.factor + a.bias[j];
  }
  const Real* __restrict c_previous = a.c_previous;
  Real* __restrict c = a.c;
  Real* __restrict tanh_c = a.tanh_c;
  Real* __restrict hidden = a.h;
#pragma GCC ivdep  // The arrays do not overlap.
  for (int64_t j = 0; j < h; ++j) {
    const Real i = Sigmoid(i_gate[j]);
    const Real f = Sigmoid(f_gate[j]);
    const Real g = Tanh(g_gate[j]);
    const Real o = Sigmoid(o_gate[j]);
    const Real cell = f * c_previous[j] + i * g;
    const Real squashed = Tanh(cell);
    i_gate[j] = i;
    f_gate[j] = f;
    g_gate[j] = g;
    o_gate[j] = o;
    c[j] = cell;
    tanh_c[j] = squashed;
    hidden[j] = o * squashed;
  }
}

template <typename Real, bool c_complete>
BITLM_ALWAYS_INLINE void BackwardRow(const LstmCellBackward<Real>& a) {
  const int64_t h = a.hidden;
  Real* __restrict i_gate = a.gates;
  Real* __restrict f_gate = a.gates + h;
  Real* __restrict g_gate = a.gates + 2 * h;
  Real* __restrict o_gate = a.gates + 3 * h;
  const Real* __restrict c_previous = a.c_previous;
  const Real* __restrict tanh_c = a.tanh_c;
  const Real* __restrict h_gradient = a.h_gradient;
  Real* __restrict c_gradient = a.c_gradient;
#pragma GCC ivdep  // The arrays do not overlap.
  for (int64_t j = 0; j < h; ++j) {
    const Real i = i_gate[j];
    const Real f = f_gate[j];
    const Real g = g_gate[j];
    const Real o = o_gate[j];
    const Real t = tanh_c[j];
    const Real dh = h_gradient[j];
    const Real dc = c_complete ? c_gradient[j] : c_gradient[j] + dh * o * (Real(1) - t * t);
    i_gate[j] = dc * g * i * (Real(1) - i);
    f_gate[j] = dc * c_previous[j] * f * (Real(1) - f);
    g_gate[j] = dc * i * (Real(1) - g * g);
    o_gate[j] = dh * t * o * (Real(1) - o);
    c_gradient[j] = dc * f;
  }
}

template <typename Real>
BITLM_ALWAYS_INLINE void Backward(const LstmCellBackward<Real>& a) {
  a.c_complete ? BackwardRow<Real, true>(a) : BackwardRow<Real, false>(a);
}

}  // namespace

BITLM_CLONES void RunLstmCellForward(const LstmCellForward<float>& args) { Forward(args); }
void RunLstmCellForward(const LstmCellForward<double>& args) { Forward(args); }
BITLM_CLONES void RunLstmCellBackward(const LstmCellBackward<float>& args) { Backward(args); }
void RunLstmCellBackward(const LstmCellBackward<double>& args) { Backward(args); }

}  // namespace bitlm::trainer
