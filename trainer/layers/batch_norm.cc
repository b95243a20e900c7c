#include "trainer/layers/batch_norm.h"

#include <algorithm>
#include <cmath>

#include "trainer/tensor/math.h"

namespace bitlm::trainer {
namespace {

// The share of a pass in the running statistics, after the first hundred, which they are the mean
// of.
constexpr double kShare = 0.01;
constexpr int64_t kColumns = 64;  // Columns whose sums stay in registers and cache.

template <typename Real>
struct Columns {
  int64_t rows, cols, stride;
  Real* x;
  Real mean[kColumns], variance[kColumns];
};

template <typename Real>
BITLM_ALWAYS_INLINE void Normalize(Columns<Real>& a, Real* __restrict inverse) {
  Real* __restrict mean = a.mean;
  Real* __restrict variance = a.variance;
  const Real share = Real(1) / static_cast<Real>(a.rows);
  for (int64_t c = 0; c < a.cols; ++c) mean[c] = variance[c] = 0;
  for (int64_t r = 0; r < a.rows; ++r) {
    const Real* __restrict x = a.x + r * a.stride;
    for (int64_t c = 0; c < a.cols; ++c) mean[c] += x[c];
  }
  for (int64_t c = 0; c < a.cols; ++c) mean[c] *= share;
  for (int64_t r = 0; r < a.rows; ++r) {
    Real* __restrict x = a.x + r * a.stride;
    for (int64_t c = 0; c < a.cols; ++c) {
      x[c] -= mean[c];
      variance[c] += x[c] * x[c];
    }
  }
  for (int64_t c = 0; c < a.cols; ++c) {
    variance[c] *= share;
    inverse[c] = Real(1) / std::sqrt(variance[c] + Real(kBatchNormEpsilon));
  }
  for (int64_t r = 0; r < a.rows; ++r) {
    Real* __restrict x = a.x + r * a.stride;
    for (int64_t c = 0; c < a.cols; ++c) x[c] *= inverse[c];
  }
}
BITLM_CLONES void NormalizeColumns(Columns<float>& a, float* inverse) { Normalize(a, inverse); }
void NormalizeColumns(Columns<double>& a, double* inverse) { Normalize(a, inverse); }

// `a.x` is the gradient.
template <typename Real>
BITLM_ALWAYS_INLINE void Back(Columns<Real>& a, const Real* __restrict normalized,
                              const Real* __restrict inverse) {
  Real* __restrict mean = a.mean;
  Real* __restrict along = a.variance;
  const Real share = Real(1) / static_cast<Real>(a.rows);
  for (int64_t c = 0; c < a.cols; ++c) mean[c] = along[c] = 0;
  for (int64_t r = 0; r < a.rows; ++r) {
    const Real* __restrict g = a.x + r * a.stride;
    const Real* __restrict n = normalized + r * a.stride;
    for (int64_t c = 0; c < a.cols; ++c) {
      mean[c] += g[c];
      along[c] += g[c] * n[c];
    }
  }
  for (int64_t r = 0; r < a.rows; ++r) {
    Real* __restrict g = a.x + r * a.stride;
    const Real* __restrict n = normalized + r * a.stride;
    for (int64_t c = 0; c < a.cols; ++c) {
      g[c] = inverse[c] * (g[c] - share * mean[c] - n[c] * share * along[c]);
    }
  }
}
BITLM_CLONES void BackColumns(Columns<float>& a, const float* normalized, const float* inverse) {
  Back(a, normalized, inverse);
}
void BackColumns(Columns<double>& a, const double* normalized, const double* inverse) {
  Back(a, normalized, inverse);
}

}  // namespace

template <typename Real>
BatchNorm<Real>::BatchNorm(int64_t groups, int64_t cols)
    : cols_(cols),
      inverse_(static_cast<size_t>(groups * cols)),
      pass_sum_(static_cast<size_t>(cols)),
      pass_square_(static_cast<size_t>(cols)),
      statistics_(static_cast<size_t>(2 * cols + 1)),
      running_inverse_(static_cast<size_t>(cols)) {
  std::fill_n(statistics_.data() + cols, cols, Real(1));
}

template <typename Real>
void BatchNorm<Real>::Forward(int64_t group, int64_t rows, int64_t first, int64_t cols,
                              int64_t stride, Real* x) {
  for (int64_t c = first; c < first + cols; c += kColumns) {
    Columns<Real> block{.rows = rows,
                        .cols = std::min(kColumns, first + cols - c),
                        .stride = stride,
                        .x = x + c,
                        .mean = {},
                        .variance = {}};
    NormalizeColumns(block, inverse_.data() + group * cols_ + c);
    for (int64_t i = 0; i < block.cols; ++i) {
      const double mean = block.mean[i];
      pass_sum_[static_cast<size_t>(c + i)] += static_cast<double>(rows) * mean;
      pass_square_[static_cast<size_t>(c + i)] +=
          static_cast<double>(rows) * (static_cast<double>(block.variance[i]) + mean * mean);
    }
  }
  if (first == 0) pass_rows_ += rows;
}

template <typename Real>
void BatchNorm<Real>::Pack() {
  for (int64_t c = 0; c < cols_; ++c) running_inverse_[static_cast<size_t>(c)] = inverse(c);
}

template <typename Real>
void BatchNorm<Real>::Evaluate(int64_t rows, Real* x) const {
  const Real* means = statistics_.data();
  const Real* inverses = running_inverse_.data();
  for (int64_t r = 0; r < rows; ++r) {
    Real* row = x + r * cols_;
    for (int64_t c = 0; c < cols_; ++c) row[c] = (row[c] - means[c]) * inverses[c];
  }
}

template <typename Real>
void BatchNorm<Real>::Backward(int64_t group, int64_t rows, int64_t first, int64_t cols,
                               int64_t stride, const Real* normalized, Real* gradient) const {
  for (int64_t c = first; c < first + cols; c += kColumns) {
    Columns<Real> block{.rows = rows,
                        .cols = std::min(kColumns, first + cols - c),
                        .stride = stride,
                        .x = gradient + c,
                        .mean = {},
                        .variance = {}};
    BackColumns(block, normalized + c, inverse_.data() + group * cols_ + c);
  }
}

template <typename Real>
void BatchNorm<Real>::EndPass() {
  Real& passes = statistics_[static_cast<size_t>(2 * cols_)];
  const double share = std::max(kShare, 1.0 / (1.0 + static_cast<double>(passes)));
  // So many that the share stays; more would not be a float's integer one day.
  passes = std::min(passes + Real(1), Real(1 / kShare));
  for (size_t c = 0; c < pass_sum_.size(); ++c) {
    const double mean = pass_sum_[c] / static_cast<double>(pass_rows_);
    const double variance = pass_square_[c] / static_cast<double>(pass_rows_) - mean * mean;
    Real& running_mean = statistics_[c];
    Real& running_variance = statistics_[c + pass_sum_.size()];
    running_mean += static_cast<Real>(share * (mean - static_cast<double>(running_mean)));
    running_variance += static_cast<Real>(
        share * (std::max(0.0, variance) - static_cast<double>(running_variance)));
    pass_sum_[c] = pass_square_[c] = 0;
  }
  pass_rows_ = 0;
}

template <typename Real>
Real BatchNorm<Real>::inverse(int64_t column) const {
  return Real(1) /
         std::sqrt(statistics_[static_cast<size_t>(cols_ + column)] + Real(kBatchNormEpsilon));
}

template <typename Real>
void BatchNorm<Real>::SetRunning(std::span<const Real> mean, std::span<const Real> variance,
                                 int passes) {
  std::copy(mean.begin(), mean.end(), statistics_.data());
  std::copy(variance.begin(), variance.end(), statistics_.data() + cols_);
  statistics_[static_cast<size_t>(2 * cols_)] = std::min(Real(passes), Real(1 / kShare));
}

template class BatchNorm<float>;
template class BatchNorm<double>;

}  // namespace bitlm::trainer
