// The pointwise parts of an LSTM step and of the way back through it, as functors.h has others.
#pragma once

#include <cmath>
#include <cstdint>

#include "trainer/device/functors.h"

namespace bitlm::trainer {

// Over [B, H]: the h that a segment's first step multiplies.
template <typename Half>
struct BeginSegment {
  const float* h;  // Of before the segment.
  const int32_t* resets;
  DeviceMask state_mask;
  int64_t hidden;
  Half* h_in;

  BITLM_ANYWHERE void operator()(int64_t i) const {
    const int64_t b = i / hidden;
    h_in[i] = static_cast<Half>(resets[b] != 0 ? 0.0f : h[i] * state_mask.At(b, i % hidden));
  }
};

// Over [B, H] of a step: LstmCellForward. Blocks t of c and h are what step t finds, t + 1 what it
// leaves.
template <typename Half>
struct CellForward {
  int64_t streams, hidden, row;  // The step's first row.
  const int32_t* resets;
  const float* bias;
  ColumnScale scale;
  DeviceMask state_mask;
  float* gates;
  const float* c_before;
  float* c;
  float* h;
  Half* h_in_next;  // Null after the last step.

  BITLM_ANYWHERE void operator()(int64_t i) const {
    const int64_t b = i / hidden, j = i % hidden;
    float* g4 = gates + (row + b) * 4 * hidden + j;
    const auto gate = [&](int64_t k) {
      return g4[k * hidden] * scale.At(k * hidden + j) + bias[k * hidden + j];
    };
    const float in = DeviceSigmoid(gate(0));
    const float forget = DeviceSigmoid(gate(1));
    const float candidate = std::tanh(gate(2));
    const float out = DeviceSigmoid(gate(3));
    const float before = resets[row + b] != 0 ? 0.0f : c_before[i];
    const float cell = forget * before + in * candidate;
    const float h_new = out * std::tanh(cell);
    g4[0] = in;
    g4[hidden] = forget;
    g4[2 * hidden] = candidate;
    g4[3 * hidden] = out;
    c[i] = cell;
    h[i] = h_new;
    if (h_in_next == nullptr) return;
    const bool reset = resets[row + streams + b] != 0;
    h_in_next[i] = static_cast<Half>(reset ? 0.0f : h_new * state_mask.At(b, j));
  }
};

// Over [B, H] of a step, from the last to the first: LstmCellBackward, and the scale's part of the
// way to the products.
template <typename Half>
struct CellBackward {
  int64_t streams, hidden, row;
  bool last;
  const int32_t* resets;
  ColumnScale scale;
  DeviceMask state_mask;
  const float* gates;  // Activations.
  const float* c_before;
  const float* c;
  const float* h_gradient;  // [rows, H]
  const float* carried_h;   // [B, H] W_h times the later step's gradient.
  float* carried_c;
  Half* gate_gradient;  // [rows, 4H]

  BITLM_ANYWHERE void operator()(int64_t i) const {
    const int64_t b = i / hidden, j = i % hidden, r = row + b;
    const bool cut = last || resets[r + streams] != 0;
    const float dh =
        h_gradient[row * hidden + i] + (cut ? 0.0f : carried_h[i] * state_mask.At(b, j));
    const float* g4 = gates + r * 4 * hidden + j;
    const float in = g4[0], forget = g4[hidden], candidate = g4[2 * hidden], out = g4[3 * hidden];
    const float squashed = std::tanh(c[i]);
    const float dc = (cut ? 0.0f : carried_c[i]) + dh * out * (1 - squashed * squashed);
    const float before = resets[r] != 0 ? 0.0f : c_before[i];
    Half* d4 = gate_gradient + r * 4 * hidden + j;
    const auto set = [&](int64_t k, float gradient) {
      d4[k * hidden] = static_cast<Half>(gradient * scale.OfGradient(k * hidden + j));
    };
    set(0, dc * candidate * in * (1 - in));
    set(1, dc * before * forget * (1 - forget));
    set(2, dc * in * (1 - candidate * candidate));
    set(3, dh * squashed * out * (1 - out));
    carried_c[i] = dc * forget;
  }
};

}  // namespace bitlm::trainer
