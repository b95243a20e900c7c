// Binarized inputs of products ([ZT] section 3.1).
#pragma once

#include <cmath>
#include <cstdint>

#include "engine/base/aligned_buffer.h"

namespace bitlm::trainer {

// q = sign(r), -1 for 0 as in the serving engine (docs/numerics.md section 3); backwards the
// straight-through estimator g_r = g_q 1_{|r| <= 1} ([ZT] section 3.3).
template <typename Real>
class SignActivation {
 public:
  SignActivation(int64_t rows, int64_t cols)
      : cols_(cols), inputs_(static_cast<size_t>(rows * cols)) {}

  // x [count, cols], rows [row, row + count) of the layer: become their signs.
  void Forward(int64_t row, int64_t count, Real* x) {
    Real* inputs = inputs_.data() + row * cols_;
    for (int64_t i = 0; i < count * cols_; ++i) {
      const Real sign = (linearized_ ? inputs[i] : x[i]) > 0 ? Real(1) : Real(-1);
      if (linearized_) {
        x[i] = sign + (Passes(inputs[i]) ? x[i] - inputs[i] : Real(0));
      } else {
        inputs[i] = x[i];
        x[i] = sign;
      }
    }
  }

  // gradient [count, cols] of the signs of these rows: becomes that of the inputs.
  void Backward(int64_t row, int64_t count, Real* gradient) const {
    const Real* inputs = inputs_.data() + row * cols_;
    for (int64_t i = 0; i < count * cols_; ++i) {
      gradient[i] = Passes(inputs[i]) ? gradient[i] : Real(0);
    }
  }

  // For gradient checks: from now on Forward is the linear function, about the inputs of the last
  // pass, whose gradient Backward computes.
  void Linearize() { linearized_ = true; }

 private:
  static bool Passes(Real input) { return std::fabs(input) <= Real(1); }

  int64_t cols_;
  AlignedBuffer<Real> inputs_;  // Of the last Forward.
  bool linearized_ = false;
};

}  // namespace bitlm::trainer
