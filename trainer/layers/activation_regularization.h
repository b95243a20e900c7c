// Activation regularization (AR) and temporal activation regularization (TAR) of the last LSTM
// layer's output (Merity, McCann, Socher 2017, arXiv:1708.01009, section 4).
#pragma once

#include <cstdint>
#include <span>

#include "engine/base/thread_pool.h"

namespace bitlm::trainer {

// Per scored position, in nats, to be added to its cross entropy:
//
//   activation * mean_j (m_j h_{t,j})^2 + temporal * mean_j (h_{t,j} - h_{t-1,j})^2
//
// m h is the output after dropout, h before it. The paper writes 2-norms; these are the mean
// squares of its authors' code (salesforce/awd-lstm-lm, main.py), whose customary weights are 2 and
// 1. The second term needs a step before in the same segment: there is none for a segment's first
// step (as in that code), nor where the state is reset, because h_{t-1} is then of another
// sentence.
struct ActivationRegularization {
  double activation = 0;
  double temporal = 0;
};

// The segment's outputs: rows t * B + b, all arrays [T * B, hidden].
struct RegularizedRows {
  int64_t streams = 0, hidden = 0;
  std::span<const int32_t> targets;  // [T * B], negative = not scored.
  std::span<const uint8_t> resets;   // [T * B]
};

// Both return the sum of their term over the scored positions, and add gradient_scale times its
// gradient to `gradient`: that of the output after dropout, and that of the output before it.
double AddActivationTerm(double weight, const RegularizedRows& rows, const float* dropped_h,
                         float gradient_scale, float* gradient, ThreadPool* pool);
double AddActivationTerm(double weight, const RegularizedRows& rows, const double* dropped_h,
                         double gradient_scale, double* gradient, ThreadPool* pool);
double AddTemporalTerm(double weight, const RegularizedRows& rows, const float* h,
                       float gradient_scale, float* gradient, ThreadPool* pool);
double AddTemporalTerm(double weight, const RegularizedRows& rows, const double* h,
                       double gradient_scale, double* gradient, ThreadPool* pool);

}  // namespace bitlm::trainer
