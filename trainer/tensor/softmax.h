// Softmax cross entropy and its gradient, plain form.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "trainer/tensor/math.h"

namespace bitlm::trainer {

// Row r of logits [rows, cols] becomes (softmax(logits[r]) - one_hot(targets[r])) * gradient_scale,
// and loss[r] = -log softmax(logits[r])[targets[r]]; a row with a negative target becomes 0, with
// loss 0.
template <typename Real>
void SoftmaxGradientInPlace(Real* logits, int64_t rows, int64_t cols, const int32_t* targets,
                            Real gradient_scale, double* loss) {
  for (int64_t r = 0; r < rows; ++r) {
    Real* row = logits + r * cols;
    loss[r] = 0;
    if (targets[r] < 0) {
      std::fill(row, row + cols, Real(0));
      continue;
    }
    const Real max = *std::max_element(row, row + cols);
    const double shifted_target = static_cast<double>(row[targets[r]]) - static_cast<double>(max);
    double sum = 0;
    for (int64_t c = 0; c < cols; ++c) {
      row[c] = Exp(row[c] - max);
      sum += static_cast<double>(row[c]);
    }
    loss[r] = std::log(sum) - shifted_target;
    const Real factor = gradient_scale / static_cast<Real>(sum);
    for (int64_t c = 0; c < cols; ++c) row[c] *= factor;
    row[targets[r]] -= gradient_scale;
  }
}

}  // namespace bitlm::trainer
