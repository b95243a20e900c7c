#include "trainer/init/sign_factors.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "trainer/init/descent.h"
#include "trainer/init/matrices.h"
#include "trainer/init/sign_rows.h"
#include "trainer/tensor/float_product.h"
#include "trainer/tensor/random.h"

namespace bitlm::trainer {
namespace {

float Sign(float x) { return x > 0 ? 1.0f : -1.0f; }

class Factorization {
 public:
  Factorization(std::span<const float> table, std::span<const float> weights, int64_t size,
                const FactorOptions& options, ThreadPool* pool)
      : table_(table),
        weights_(weights),
        rows_(weights.size()),
        size_(static_cast<size_t>(size)),
        columns_(table.size() / weights.size()),
        options_(options),
        pool_(pool),
        signs_(rows_ * size_),
        m_(size_ * columns_),
        s_(size_ * columns_),
        scale_(options.scale_rows ? size_ : columns_) {
    constexpr size_t kValues = 1 << 16;
    std::vector<float> gaussian(kValues);
    for (size_t i = 0; i < kValues; ++i) gaussian[i] = static_cast<float>(GaussianAt(1, i));
    levels_ = FitTable(options.planes, gaussian.data(), 1, static_cast<int64_t>(kValues));
    if (options.planes == 1) SetScales<float>(std::array{1.0}, &levels_);
  }

  SignFactors Run() {
    Start();
    for (int round = 0; round < options_.rounds; ++round) {
      FitM(round == 0);
      FitSigns();
    }
    return Result();
  }

 private:
  // Signs of a random rotation of the rows.
  void Start() {
    std::vector<float> rotation(size_ * columns_);
    for (size_t i = 0; i < rotation.size(); ++i) {
      rotation[i] = static_cast<float>(GaussianAt(options_.seed, i));
    }
    signs_ = TimesTransposed(table_, rotation, columns_, pool_);
    double squares = 0;
    for (const float x : signs_) squares += x * x;
    const auto unit = static_cast<float>(std::sqrt(static_cast<double>(signs_.size()) / squares));
    for (float& sign : signs_) sign = levels_.Value(sign * unit);
  }

  void FitM(bool first) {
    // G = B^T diag(weights) B and B^T diag(weights) T.
    std::vector<float> weighted = signs_;
    for (size_t v = 0; v < rows_; ++v) {
      for (size_t k = 0; k < size_; ++k) weighted[v * size_ + k] *= weights_[v];
    }
    std::vector<float> gram(size_ * size_), target(size_ * columns_);
    const auto rows = static_cast<int64_t>(rows_);
    Multiply({.transpose_a = true}, weighted, signs_, rows, pool_, gram);
    Multiply({.transpose_a = true}, weighted, table_, rows, pool_, target);
    // With every column free the metric does not matter.
    if (!options_.binary || options_.scale_rows || first) FitValues(gram, target);
    if (!options_.binary) return;
    if (options_.scale_rows) {
      FitRowsOfM();
      return;
    }
    if (first) {
      for (size_t i = 0; i < m_.size(); ++i) s_[i] = m_[i] > 0 ? 1.0f : -1.0f;
      double sum = 0;
      for (const float x : m_) sum += std::fabs(x);
      std::fill(scale_.begin(), scale_.end(),
                static_cast<float>(sum / static_cast<double>(m_.size())));
    }
    for (int pass = 0; pass < 2; ++pass) {
      FitColumnScales(gram, target);
      FitSignsOfM(gram, target);
    }
    for (size_t i = 0; i < m_.size(); ++i) m_[i] = Sign(s_[i]) * scale_[i % columns_];
  }

  // The float M of this round, row by row.
  void FitRowsOfM() {
    std::vector<float> identity;
    if (options_.metric.empty()) {
      identity.resize(columns_ * columns_);
      for (size_t j = 0; j < columns_; ++j) identity[j * columns_ + j] = 1;
    }
    const std::span<const float> metric = identity.empty() ? options_.metric : identity;
    pool_->ParallelFor(size_, [&](size_t k) {
      float* row = m_.data() + k * columns_;
      const SignRow fit = FitSignRow({row, columns_}, metric);
      scale_[k] = fit.scale;
      for (size_t j = 0; j < columns_; ++j) {
        s_[k * columns_ + j] = fit.margins[j];
        row[j] = Sign(fit.margins[j]) * fit.scale;
      }
    });
  }

  void FitValues(const std::vector<float>& gram, const std::vector<float>& target) {
    pool_->ParallelFor(columns_, [&](size_t j) {
      std::vector<float> values(size_), residual(size_);
      for (size_t k = 0; k < size_; ++k) values[k] = m_[k * columns_ + j];
      Residual(gram, target, j, values, &residual);
      DescendValues(gram, 10, values, residual);
      for (size_t k = 0; k < size_; ++k) m_[k * columns_ + j] = values[k];
    });
  }

  // target[., j] - G values.
  void Residual(const std::vector<float>& gram, const std::vector<float>& target, size_t j,
                const std::vector<float>& values, std::vector<float>* residual) const {
    for (size_t k = 0; k < size_; ++k) (*residual)[k] = target[k * columns_ + j];
    SubtractProduct(gram, values, *residual);
  }

  // Of column j, its one factor: (s^T t) / (s^T G s).
  void FitColumnScales(const std::vector<float>& gram, const std::vector<float>& target) {
    pool_->ParallelFor(columns_, [&](size_t j) {
      std::vector<float> values(size_), residual(size_);
      for (size_t k = 0; k < size_; ++k) values[k] = Sign(s_[k * columns_ + j]);
      Residual(gram, target, j, values, &residual);
      double numerator = 0, denominator = 0;
      for (size_t k = 0; k < size_; ++k) {
        const double t = target[k * columns_ + j];
        numerator += values[k] * t;
        denominator += values[k] * (t - residual[k]);
      }
      if (denominator > 0 && numerator > 0) {
        scale_[j] = static_cast<float>(numerator / denominator);
      }
    });
  }

  // With t / scale for t the scale drops out of the choice of signs.
  void FitSignsOfM(const std::vector<float>& gram, const std::vector<float>& target) {
    pool_->ParallelFor(columns_, [&](size_t j) {
      std::vector<float> values(size_), residual(size_), margins(size_);
      for (size_t k = 0; k < size_; ++k) {
        values[k] = Sign(s_[k * columns_ + j]);
        residual[k] = target[k * columns_ + j] / scale_[j];
      }
      SubtractProduct(gram, values, residual);
      DescendSigns(gram, values, residual);
      Margins(gram, values, residual, margins);
      for (size_t k = 0; k < size_; ++k) {
        s_[k * columns_ + j] = margins[k] * scale_[j] * scale_[j];
      }
    });
  }

  void FitSigns() {
    std::vector<float> gram, target, weighed = m_;
    if (!options_.metric.empty()) {
      weighed = TimesTransposed(m_, options_.metric, columns_, pool_);
    }
    gram = TimesTransposed(m_, weighed, columns_, pool_);
    target = TimesTransposed(table_, weighed, columns_, pool_);
    // To residuals, of all rows at once.
    Multiply({.factor = -1, .keep = 1}, signs_, gram, static_cast<int64_t>(size_), pool_, target);
    margins_.resize(signs_.size());
    pool_->ParallelFor(rows_, [&](size_t v) {
      const std::span<float> signs(signs_.data() + v * size_, size_);
      const std::span<float> residual(target.data() + v * size_, size_);
      const std::span<float> margins(margins_.data() + v * size_, size_);
      if (options_.planes > 1) {
        DescendCodes(levels_, gram, signs, residual);
        Minima(gram, signs, residual, margins);
      } else {
        DescendSigns(gram, signs, residual);
        Margins(gram, signs, residual, margins);
      }
    });
  }

  SignFactors Result() const {
    SignFactors result{.margins = margins_, .levels = levels_, .m = m_, .scale = {}, .error = 0};
    if (options_.planes > 1) {
      MakeLatent(levels_, result.margins);
    } else {
      DivideByMeanMagnitude(&result.margins);
    }
    if (options_.binary) {
      result.m = s_;
      DivideByMeanMagnitude(&result.m);
      result.scale = scale_;
    }
    result.error = Error();
    return result;
  }

  double Error() const {
    std::vector<float> difference(table_.begin(), table_.end());
    Multiply({.factor = -1, .keep = 1}, signs_, m_, static_cast<int64_t>(size_), pool_, difference);
    return WeightedSquares(difference) / WeightedSquares(table_);
  }

  // The sum over rows d of weight * d C d^T.
  double WeightedSquares(std::span<const float> rows) const {
    std::vector<float> products(rows.begin(), rows.end());
    if (!options_.metric.empty()) {
      products = TimesTransposed(rows, options_.metric, columns_, pool_);
    }
    double sum = 0;
    for (size_t v = 0; v < rows_; ++v) {
      double square = 0;
      for (size_t j = v * columns_; j < (v + 1) * columns_; ++j) square += rows[j] * products[j];
      sum += weights_[v] * square;
    }
    return sum;
  }

  std::span<const float> table_, weights_;
  size_t rows_, size_, columns_;
  FactorOptions options_;
  ThreadPool* pool_;
  PlaneLevels<float> levels_;           // Of B.
  std::vector<float> signs_, margins_;  // [V, K]
  std::vector<float> m_, s_;            // [K, E]
  std::vector<float> scale_;
};

}  // namespace

SignFactors FactorIntoSigns(std::span<const float> table, std::span<const float> weights,
                            int64_t size, const FactorOptions& options, ThreadPool* pool) {
  return Factorization(table, weights, size, options, pool).Run();
}

}  // namespace bitlm::trainer
