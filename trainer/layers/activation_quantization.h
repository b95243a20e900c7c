// The serving engine's rounding of activations, in training (docs/numerics.md, section 2).
#pragma once

#include <cstdint>

#include "engine/base/thread_pool.h"
#include "engine/kernels/quantize/quantize.h"

namespace bitlm::trainer {

// How the input of a binary matrix is rounded.
struct ActivationGrid {
  int planes = 0;  // 0 = not at all; 1 or 2 int8 planes, as ModelConfig::activation_planes.
  QuantizationScale scale = QuantizationScale::kRowMaximum;
};

// Replaces x [rows, cols] by scale * q of the engine's quantized rows. The backward pass takes
// gradients through as they are, the straight-through estimator (Bengio, Leonard, Courville 2013,
// arXiv:1308.3432; of activations Jacob et al. 2018, section 3): no value is clamped, so that it
// needs no mask.
void RoundActivations(const ActivationGrid& grid, float* x, int64_t rows, int64_t cols,
                      ThreadPool* pool);
void RoundActivations(const ActivationGrid& grid, double* x, int64_t rows, int64_t cols,
                      ThreadPool* pool);

// The same, not parallel.
void RoundActivationRows(const ActivationGrid& grid, float* x, int64_t rows, int64_t cols);
void RoundActivationRows(const ActivationGrid& grid, double* x, int64_t rows, int64_t cols);

}  // namespace bitlm::trainer
