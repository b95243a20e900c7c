// Products of whole float32 matrices.
#pragma once

#include <cstdint>
#include <span>

#include "engine/base/thread_pool.h"

namespace bitlm::trainer {

// C = factor * op(A) op(B) + keep * C for row-major matrices, C [m, n] of op(A) [m, k] and op(B)
// [k, n]. With keep = 0 it does not matter what C was.
struct FloatProduct {
  bool transpose_a = false;  // A is stored as [k, m].
  bool transpose_b = false;  // B is stored as [n, k].
  float factor = 1;
  float keep = 0;
};

// m and n follow from k > 0 and the sizes. Does not depend on the threads, but on the CPU.
void Multiply(const FloatProduct& product, std::span<const float> a, std::span<const float> b,
              int64_t k, ThreadPool* pool, std::span<float> c);

}  // namespace bitlm::trainer
