// Dropout (Srivastava et al. 2014) on non-recurrent connections (Zaremba et al. 2014); its
// variational form (Gal and Ghahramani 2016), whose mask is the same at all time steps of a
// segment, also on the recurrent state; and dropout of whole words of the input (the same; Merity
// et al. 2018, section 4.3).
#pragma once

#include <cstdint>
#include <span>

#include "engine/base/thread_pool.h"

namespace bitlm::trainer {

struct DropoutMask {
  double rate =
      0;  // Fraction of values set to 0; the others are divided by 1 - rate. Range [0, 1).
  uint32_t key = 0;    // Of this layer in this step.
  int64_t period = 0;  // Rows r and r + period share a mask; 0 = all rows differ.
};

// x[r, c] *= mask[r, c]; masks are recomputed from the key, never stored, so the backward pass is
// the same call on the gradient.
void ApplyDropout(const DropoutMask& mask, float* x, int64_t rows, int64_t cols, ThreadPool* pool);
void ApplyDropout(const DropoutMask& mask, double* x, int64_t rows, int64_t cols, ThreadPool* pool);

// ApplyDropout to the rows [first, first + rows) of a larger array, `x` their first; not parallel.
void ApplyDropoutToRows(const DropoutMask& mask, int64_t first, float* x, int64_t rows,
                        int64_t cols);
void ApplyDropoutToRows(const DropoutMask& mask, int64_t first, double* x, int64_t rows,
                        int64_t cols);

// ApplyDropout with one value for a whole row, chosen by the row's word: a dropped word is 0
// wherever it occurs in the segment. x [tokens.size(), cols]; `period` is not used.
void ApplyWordDropout(const DropoutMask& mask, std::span<const int32_t> tokens, float* x,
                      int64_t cols, ThreadPool* pool);
void ApplyWordDropout(const DropoutMask& mask, std::span<const int32_t> tokens, double* x,
                      int64_t cols, ThreadPool* pool);

}  // namespace bitlm::trainer
