// One scale for a binary matrix: W ~ alpha sign(W) with alpha = mean |W| ([ZT] section 3.1;
// XNOR-Net, Rastegari et al. 2016, arXiv:1603.05279, equation 6).
#pragma once

#include <cmath>
#include <cstdint>

#include "engine/base/thread_pool.h"
#include "trainer/layers/parameter.h"
#include "trainer/tensor/ordered_sum.h"

namespace bitlm::trainer {

// What Parameter::alpha is of a matrix that has such a scale: its signs are the binary values, and
// latent values stay inside [-1, 1], beyond which XNOR-Net's estimator has no gradient.
inline constexpr double kLatentLimit = 1;

// The sum over the entries of value(i), a row's at a time; does not depend on the threads.
template <typename Value>
double SumOverRows(int64_t rows, int64_t cols, ThreadPool* pool, const Value& value) {
  return OrderedSum(static_cast<size_t>(rows), pool, [&](size_t r) {
    double sum = 0;
    for (int64_t i = 0; i < cols; ++i) sum += value(r * static_cast<size_t>(cols) + i);
    return sum;
  });
}

template <typename Real>
Real MeanMagnitude(const Parameter<Real>& w, ThreadPool* pool) {
  const double sum =
      SumOverRows(w.rows, w.cols, pool, [&](size_t i) { return std::fabs(w.value[i]); });
  return static_cast<Real>(sum / static_cast<double>(w.size()));
}

// From G = dC/d(alpha sign(W)), in w's gradient, to dC/dW_i = alpha G_i + sign(W_i) / n * sum of
// G_k sign(W_k): the straight-through estimator, and the chain rule through alpha (XNOR-Net
// section 3.1).
template <typename Real>
void BackThroughScale(Real alpha, ThreadPool* pool, Parameter<Real>* w) {
  const double along = SumOverRows(w->rows, w->cols, pool, [&](size_t i) {
    return w->value[i] > 0 ? w->gradient[i] : -w->gradient[i];
  });
  const auto shared = static_cast<Real>(along / static_cast<double>(w->size()));
  pool->ParallelFor(static_cast<size_t>(w->rows), [&](size_t r) {
    for (size_t i = r * static_cast<size_t>(w->cols); i < (r + 1) * static_cast<size_t>(w->cols);
         ++i) {
      w->gradient[i] = alpha * w->gradient[i] + (w->value[i] > 0 ? shared : -shared);
    }
  });
}

}  // namespace bitlm::trainer
