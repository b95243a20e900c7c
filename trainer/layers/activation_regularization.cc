#include "trainer/layers/activation_regularization.h"

#include <cstddef>

#include "trainer/tensor/ordered_sum.h"

namespace bitlm::trainer {
namespace {

// Streams are independent, and each has one writer.
template <typename Body>
double SumOverStreams(int64_t streams, ThreadPool* pool, const Body& body) {
  return OrderedSum(static_cast<size_t>(streams), pool,
                    [&](size_t stream) { return body(static_cast<int64_t>(stream)); });
}

template <typename Real>
double Activation(double weight, const RegularizedRows& rows, const Real* x, Real gradient_scale,
                  Real* gradient, ThreadPool* pool) {
  if (weight == 0) return 0;
  const double share = weight / static_cast<double>(rows.hidden);
  const Real factor = static_cast<Real>(2 * share) * gradient_scale;
  return share * SumOverStreams(rows.streams, pool, [&](int64_t b) {
           double sum = 0;
           for (size_t r = static_cast<size_t>(b); r < rows.targets.size();
                r += static_cast<size_t>(rows.streams)) {
             if (rows.targets[r] < 0) continue;
             const Real* h = x + static_cast<int64_t>(r) * rows.hidden;
             Real* g = gradient + static_cast<int64_t>(r) * rows.hidden;
             Real squares = 0;
             for (int64_t j = 0; j < rows.hidden; ++j) {
               squares += h[j] * h[j];
               g[j] += factor * h[j];
             }
             sum += static_cast<double>(squares);
           }
           return sum;
         });
}

template <typename Real>
double Temporal(double weight, const RegularizedRows& rows, const Real* x, Real gradient_scale,
                Real* gradient, ThreadPool* pool) {
  if (weight == 0) return 0;
  const double share = weight / static_cast<double>(rows.hidden);
  const Real factor = static_cast<Real>(2 * share) * gradient_scale;
  const int64_t step = rows.streams * rows.hidden;
  return share * SumOverStreams(rows.streams, pool, [&](int64_t b) {
           double sum = 0;
           for (size_t r = static_cast<size_t>(b + rows.streams); r < rows.targets.size();
                r += static_cast<size_t>(rows.streams)) {
             if (rows.targets[r] < 0 || rows.resets[r] != 0) continue;
             const Real* h = x + static_cast<int64_t>(r) * rows.hidden;
             Real* g = gradient + static_cast<int64_t>(r) * rows.hidden;
             Real squares = 0;
             for (int64_t j = 0; j < rows.hidden; ++j) {
               const Real difference = h[j] - h[j - step];
               squares += difference * difference;
               g[j] += factor * difference;
               g[j - step] -= factor * difference;
             }
             sum += static_cast<double>(squares);
           }
           return sum;
         });
}

}  // namespace

double AddActivationTerm(double weight, const RegularizedRows& rows, const float* dropped_h,
                         float gradient_scale, float* gradient, ThreadPool* pool) {
  return Activation(weight, rows, dropped_h, gradient_scale, gradient, pool);
}

double AddActivationTerm(double weight, const RegularizedRows& rows, const double* dropped_h,
                         double gradient_scale, double* gradient, ThreadPool* pool) {
  return Activation(weight, rows, dropped_h, gradient_scale, gradient, pool);
}

double AddTemporalTerm(double weight, const RegularizedRows& rows, const float* h,
                       float gradient_scale, float* gradient, ThreadPool* pool) {
  return Temporal(weight, rows, h, gradient_scale, gradient, pool);
}

double AddTemporalTerm(double weight, const RegularizedRows& rows, const double* h,
                       double gradient_scale, double* gradient, ThreadPool* pool) {
  return Temporal(weight, rows, h, gradient_scale, gradient, pool);
}

}  // namespace bitlm::trainer
