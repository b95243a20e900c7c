// The pointwise part of the LSTM, [LCY18] equation 3, one row at a time. Gate order i f g o.
#pragma once

#include <cstdint>

namespace bitlm::trainer {

// gates [4H] holds the products s = W {h, e}; becomes the activations (i, f, g, o) of s * scale *
// factor + bias (scale null = 1). Then c = f * c_previous + i * g, tanh_c = tanh(c), h = o *
// tanh_c. All [H].
template <typename Real>
struct LstmCellForward {
  int64_t hidden = 0;
  Real factor = 1;
  const Real* scale = nullptr;  // [4H]
  const Real* bias = nullptr;   // [4H]
  Real* gates = nullptr;        // [4H]
  const Real* c_previous = nullptr;
  Real* c = nullptr;
  Real* tanh_c = nullptr;
  Real* h = nullptr;
};
void RunLstmCellForward(const LstmCellForward<float>& args);
void RunLstmCellForward(const LstmCellForward<double>& args);

// From dC/dh and dC/dc (of later steps) to the gradients of the pre-activations, which replace the
// activations in `gates`; c_gradient becomes dC/dc_previous. With `c_complete`, c_gradient has what
// comes through h already (by a norm between c and h).
template <typename Real>
struct LstmCellBackward {
  int64_t hidden = 0;
  Real* gates = nullptr;  // [4H] in: activations; out: pre-activation gradients
  const Real* c_previous = nullptr;
  const Real* tanh_c = nullptr;
  const Real* h_gradient = nullptr;  // [H]
  Real* c_gradient = nullptr;        // [H] in and out
  bool c_complete = false;
};
void RunLstmCellBackward(const LstmCellBackward<float>& args);
void RunLstmCellBackward(const LstmCellBackward<double>& args);

}  // namespace bitlm::trainer
