#include "trainer/layers/layer_norm.h"

#include <cmath>

#include "engine/kernels/layer_norm/layer_norm.h"
#include "trainer/tensor/math.h"

namespace bitlm::trainer {
namespace {

// Sums of n values, value(i) the i-th: in independent lanes, which vectorize.
template <typename Real, typename Value>
BITLM_ALWAYS_INLINE Real LaneSum(int64_t n, Value value) {
  constexpr int kLanes = 16;
  Real lanes[kLanes] = {};
  const int64_t whole = n / kLanes * kLanes;
  for (int64_t i = 0; i < whole; i += kLanes) {
    for (int l = 0; l < kLanes; ++l) lanes[l] += value(i + l);
  }
  Real sum = 0;
  for (int64_t i = whole; i < n; ++i) sum += value(i);
  for (int l = 0; l < kLanes; ++l) sum += lanes[l];
  return sum;
}

template <typename Real>
BITLM_ALWAYS_INLINE Real Forward(Real* x, int64_t n) {
  const auto count = static_cast<Real>(n);
  const Real mean = LaneSum<Real>(n, [&](int64_t i) { return x[i]; }) / count;
  for (int64_t i = 0; i < n; ++i) x[i] -= mean;
  const Real variance = LaneSum<Real>(n, [&](int64_t i) { return x[i] * x[i]; }) / count;
  const Real inverse = Real(1) / std::sqrt(variance + Real(kLayerNormEpsilon));
  for (int64_t i = 0; i < n; ++i) x[i] *= inverse;
  return inverse;
}

template <typename Real>
BITLM_ALWAYS_INLINE void Backward(const Real* __restrict normalized, Real inverse, int64_t n,
                                  Real* __restrict gradient) {
  const auto count = static_cast<Real>(n);
  const Real mean = LaneSum<Real>(n, [&](int64_t i) { return gradient[i]; }) / count;
  const Real along =
      LaneSum<Real>(n, [&](int64_t i) { return gradient[i] * normalized[i]; }) / count;
  for (int64_t i = 0; i < n; ++i) {
    gradient[i] = inverse * (gradient[i] - mean - normalized[i] * along);
  }
}

}  // namespace

BITLM_CLONES float NormalizeRow(float* x, int64_t n) { return Forward(x, n); }
double NormalizeRow(double* x, int64_t n) { return Forward(x, n); }
BITLM_CLONES void NormalizeRowBackward(const float* normalized, float inverse, int64_t n,
                                       float* gradient) {
  Backward(normalized, inverse, n, gradient);
}
void NormalizeRowBackward(const double* normalized, double inverse, int64_t n, double* gradient) {
  Backward(normalized, inverse, n, gradient);
}

}  // namespace bitlm::trainer
