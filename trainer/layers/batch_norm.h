// Batch norm (Ioffe and Szegedy 2015, arXiv:1502.03167, algorithm 1), without gain and shift, of
// the products of an LSTM ([ZT] section 4.2; Cooijmans et al. 2016, arXiv:1603.09025).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/base/aligned_buffer.h"

namespace bitlm::trainer {

inline constexpr double kBatchNormEpsilon = 1e-5;

// Means and variances of the columns of groups of rows. A training pass normalizes each group by
// its own; the running ones, of the last hundred passes or so, serve all others.
template <typename Real>
class BatchNorm {
 public:
  BatchNorm(int64_t groups, int64_t cols);

  // Columns [first, first + cols) of the rows of `group`, x [rows, stride] of all columns: become
  // normalized by their own statistics, which the pass adds up. Groups in their order; threads may
  // have different columns.
  void Forward(int64_t group, int64_t rows, int64_t first, int64_t cols, int64_t stride, Real* x);
  // The same by the running statistics, those of the last Pack.
  void Pack();
  void Evaluate(int64_t rows, Real* x) const;
  // From dC/d(normalized) to dC/dx after Forward, in place; both [rows, stride] of all columns.
  void Backward(int64_t group, int64_t rows, int64_t first, int64_t cols, int64_t stride,
                const Real* normalized, Real* gradient) const;
  // Ends a training pass: its statistics over all groups enter the running ones.
  void EndPass();

  // [2 * cols + 1], which a checkpoint keeps: running means, running variances, passes so far.
  std::span<Real> statistics() { return {statistics_.data(), statistics_.size()}; }
  Real mean(int64_t column) const { return statistics_[static_cast<size_t>(column)]; }
  // 1 / sqrt(variance + epsilon) of the running variance.
  Real inverse(int64_t column) const;
  // Statistics that many passes have confirmed, or with `passes` = 0 that the first pass replaces.
  void SetRunning(std::span<const Real> mean, std::span<const Real> variance, int passes);

 private:
  int64_t cols_;
  int64_t pass_rows_ = 0;                       // Rows that the pass has added up, in column 0.
  AlignedBuffer<Real> inverse_;                 // [groups, cols]
  std::vector<double> pass_sum_, pass_square_;  // [cols]
  AlignedBuffer<Real> statistics_;
  AlignedBuffer<Real> running_inverse_;  // [cols]
};

extern template class BatchNorm<float>;
extern template class BatchNorm<double>;

}  // namespace bitlm::trainer
