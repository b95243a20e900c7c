#include "trainer/init/sign_factors.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "trainer/init/matrices.h"
#include "trainer/tensor/random.h"

namespace bitlm::trainer {
namespace {

// Least squares in signs: minimizes s^T G s - 2 t^T s over s in {-1, +1}^n, one sign at a time.
// `signs` is the start and the result; `residual` = t - G s at the start, and afterwards. G is
// symmetric, [n, n].
void DescendSigns(std::span<const float> gram, std::span<float> signs, std::span<float> residual) {
  constexpr int kSweeps = 8;
  const size_t n = signs.size();
  for (int sweep = 0; sweep < kSweeps; ++sweep) {
    bool changed = false;
    for (size_t k = 0; k < n; ++k) {
      // A flip changes the target by 4 (s_k r_k + G_kk).
      if (signs[k] * residual[k] + gram[k * n + k] >= 0) continue;
      const float change = -2 * signs[k];
      signs[k] += change;
      const float* row = gram.data() + k * n;
      for (size_t l = 0; l < n; ++l) residual[l] -= change * row[l];
      changed = true;
    }
    if (!changed) return;
  }
}

// The same in values of planes.
void DescendCodes(const PlaneLevels<float>& levels, std::span<const float> gram,
                  std::span<float> codes, std::span<float> residual) {
  constexpr int kSweeps = 8;
  const size_t n = codes.size();
  for (int sweep = 0; sweep < kSweeps; ++sweep) {
    bool changed = false;
    for (size_t k = 0; k < n; ++k) {
      if (!(gram[k * n + k] > 0)) continue;
      // The nearest to the minimum along this value.
      const float best = codes[k] + residual[k] / gram[k * n + k];
      const float change = levels.Value(best) - codes[k];
      // Between two levels rounding could go back and forth.
      if (std::fabs(change) <= 1e-5f * levels.level[0] + 1e-30f) continue;
      codes[k] += change;
      const float* row = gram.data() + k * n;
      for (size_t l = 0; l < n; ++l) residual[l] -= change * row[l];
      changed = true;
    }
    if (!changed) return;
  }
}

// Where the minimum along each value is: codes + residual / diagonal.
void Minima(std::span<const float> gram, std::span<const float> codes,
            std::span<const float> residual, std::span<float> minima) {
  const size_t n = codes.size();
  for (size_t k = 0; k < n; ++k) {
    const float diagonal = gram[k * n + k];
    minima[k] = codes[k] + (diagonal > 0 ? residual[k] / diagonal : 0);
  }
}

// Latent values from minima: what they are beyond their codes says how far a change of code is. The
// values of a level keep it as their mean, and stay nearest to it: so a fit brings them back.
void MakeLatent(const PlaneLevels<float>& levels, std::span<float> minima) {
  const size_t count = size_t{1} << (levels.planes - 1);
  std::array<double, 4> sum{}, number{};
  const auto level_of = [&](float w) {
    size_t k = 0;
    while (k + 1 < count && std::fabs(w) > levels.threshold[k]) ++k;
    return k;
  };
  for (const float w : minima) {
    const size_t k = level_of(w);
    sum[k] += std::fabs(w);
    number[k] += 1;
  }
  for (float& w : minima) {
    const size_t k = level_of(w);
    const float level = levels.level[k];
    const float low = k == 0 ? 0 : levels.threshold[k - 1];
    const float high = k + 1 < count ? levels.threshold[k] : 3 * level;
    const float moved = std::fabs(w) + level - static_cast<float>(sum[k] / number[k]);
    w = std::copysign(std::clamp(moved, low + 0.1f * (level - low), high - 0.1f * (high - level)),
                      w > 0 ? 1.0f : -1.0f);
  }
}

// residual -= G x.
void SubtractProduct(std::span<const float> gram, std::span<const float> x,
                     std::span<float> residual) {
  for (size_t k = 0; k < x.size(); ++k) {
    const float* row = gram.data() + k * x.size();
    for (size_t l = 0; l < x.size(); ++l) residual[l] -= x[k] * row[l];
  }
}

// The signs times a fourth of what a flip costs, s_k r_k + G_kk, but never 0, which has no sign.
void Margins(std::span<const float> gram, std::span<const float> signs,
             std::span<const float> residual, std::span<float> margins) {
  const size_t n = signs.size();
  for (size_t k = 0; k < n; ++k) {
    const float diagonal = gram[k * n + k];
    const float cost = std::max(signs[k] * residual[k] + diagonal, 1e-6f * diagonal + 1e-30f);
    margins[k] = std::copysign(cost, signs[k]);
  }
}

void DivideByMeanMagnitude(std::vector<float>* values) {
  double sum = 0;
  for (const float x : *values) sum += std::fabs(x);
  if (!(sum > 0)) return;
  const auto factor = static_cast<float>(static_cast<double>(values->size()) / sum);
  for (float& x : *values) x *= factor;
}

// Least squares in float values: Gauss-Seidel steps on G x = t.
void DescendValues(std::span<const float> gram, int sweeps, std::span<float> values,
                   std::span<float> residual) {
  const size_t n = values.size();
  for (int sweep = 0; sweep < sweeps; ++sweep) {
    for (size_t k = 0; k < n; ++k) {
      const float* row = gram.data() + k * n;
      if (!(row[k] > 0)) continue;
      const float change = residual[k] / row[k];
      values[k] += change;
      for (size_t l = 0; l < n; ++l) residual[l] -= change * row[l];
    }
  }
}

// out[i, j] = sum over v of weights[v] * a[v, i] * b[v, j].
void MultiplyWeighted(std::span<const float> a, size_t n, std::span<const float> b, size_t m,
                      std::span<const float> weights, ThreadPool* pool, std::vector<float>* out) {
  out->assign(n * m, 0);
  constexpr size_t kRows = 8;  // Of `out`, which stay in the first-level cache.
  pool->ParallelFor((n + kRows - 1) / kRows, [&](size_t block) {
    for (size_t v = 0; v < weights.size(); ++v) {
      for (size_t i = block * kRows; i < std::min(n, (block + 1) * kRows); ++i) {
        const float factor = weights[v] * a[v * n + i];
        const float* from = b.data() + v * m;
        float* to = out->data() + i * m;
        for (size_t j = 0; j < m; ++j) to[j] += factor * from[j];
      }
    }
  });
}

// Gauss's elimination with pivots of the first n rows; false when they are nearly singular.
bool Solve(int n, std::array<std::array<double, 4>, 3> a, std::array<double, 3>* x) {
  const auto size = static_cast<size_t>(n);
  const double unit = std::max({a[0][0], size > 1 ? a[1][1] : 0, size > 2 ? a[2][2] : 0});
  for (size_t i = 0; i < size; ++i) {
    size_t pivot = i;
    for (size_t r = i + 1; r < size; ++r) {
      if (std::fabs(a[r][i]) > std::fabs(a[pivot][i])) pivot = r;
    }
    std::swap(a[i], a[pivot]);
    if (!(std::fabs(a[i][i]) > 1e-9 * unit)) return false;
    for (size_t r = 0; r < size; ++r) {
      if (r == i) continue;
      const double factor = a[r][i] / a[i][i];
      for (size_t c = i; c < 4; ++c) a[r][c] -= factor * a[i][c];
    }
  }
  for (size_t i = 0; i < size; ++i) (*x)[i] = a[i][3] / a[i][i];
  return true;
}

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
    std::vector<float> gram, target;
    MultiplyWeighted(signs_, size_, signs_, size_, weights_, pool_, &gram);
    MultiplyWeighted(signs_, size_, table_, columns_, weights_, pool_, &target);
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
    margins_.resize(signs_.size());
    pool_->ParallelFor(rows_, [&](size_t v) {
      const std::span<float> signs(signs_.data() + v * size_, size_);
      const std::span<float> residual(target.data() + v * size_, size_);
      SubtractProduct(gram, signs, residual);
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
    pool_->ParallelFor(rows_, [&](size_t v) {
      float* row = difference.data() + v * columns_;
      for (size_t k = 0; k < size_; ++k) {
        const float sign = signs_[v * size_ + k];
        for (size_t j = 0; j < columns_; ++j) row[j] -= sign * m_[k * columns_ + j];
      }
    });
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

SignRow FitSignRow(std::span<const float> values, std::span<const float> moments) {
  const size_t n = values.size();
  std::vector<float> signs(n), target(n), product(n), residual(n);
  SubtractProduct(moments, values, target);
  double sum = 0;
  for (size_t i = 0; i < n; ++i) {
    target[i] = -target[i];  // C w
    signs[i] = Sign(values[i]);
    sum += std::fabs(values[i]);
  }
  SignRow row{.margins = std::vector<float>(n),
              .scale = static_cast<float>(std::max(1e-12, sum / static_cast<double>(n)))};
  SubtractProduct(moments, signs, product);  // -C s
  // Given the signs, the scale: (s C w) / (s C s).
  const auto fit_scale = [&] {
    double numerator = 0, denominator = 0;
    for (size_t i = 0; i < n; ++i) {
      numerator += signs[i] * target[i];
      denominator -= signs[i] * product[i];
    }
    if (numerator > 0 && denominator > 0) row.scale = static_cast<float>(numerator / denominator);
  };
  for (int round = 0; round < 4; ++round) {
    fit_scale();
    // Given the scale, the signs: those that are best for C w / scale.
    for (size_t i = 0; i < n; ++i) residual[i] = product[i] + target[i] / row.scale;
    DescendSigns(moments, signs, residual);
    for (size_t i = 0; i < n; ++i) product[i] = residual[i] - target[i] / row.scale;
  }
  fit_scale();
  Margins(moments, signs, residual, row.margins);
  DivideByMeanMagnitude(&row.margins);
  return row;
}

std::vector<float> FitPlanesRow(std::span<const float> values, std::span<const float> moments,
                                int planes) {
  const size_t n = values.size();
  PlaneLevels<float> levels = FitTable(planes, values.data(), 1, static_cast<int64_t>(n));
  if (!(levels.level[0] > 0)) return {values.begin(), values.end()};
  std::vector<float> codes(n), residual(n), target(n);
  for (size_t i = 0; i < n; ++i) codes[i] = levels.Value(values[i]);
  SubtractProduct(moments, values, target);
  for (float& x : target) x = -x;  // C w
  std::vector<std::vector<float>> signs(static_cast<size_t>(planes), std::vector<float>(n));
  for (int round = 0; round < 3; ++round) {
    // Given the codes, the scales: (B C B^T) s = B C w.
    std::array<std::array<double, 4>, 3> system{};
    for (size_t p = 0; p < signs.size(); ++p) {
      for (size_t i = 0; i < n; ++i) signs[p][i] = levels.Bits(codes[i]) >> p & 1 ? 1.0f : -1.0f;
    }
    for (size_t p = 0; p < signs.size(); ++p) {
      std::vector<float> product(n);
      SubtractProduct(moments, signs[p], product);
      for (size_t q = 0; q < signs.size(); ++q) {
        for (size_t i = 0; i < n; ++i) system[p][q] -= product[i] * signs[q][i];
      }
      for (size_t i = 0; i < n; ++i) system[p][3] += signs[p][i] * target[i];
    }
    std::array<double, 3> scales;
    if (!Solve(planes, system, &scales)) break;
    PlaneLevels<float> next = levels;
    SetScales<float>({scales.data(), static_cast<size_t>(planes)}, &next);
    if (!(next.level[0] > 0)) break;
    for (size_t i = 0; i < n; ++i) {
      float sum = 0;
      for (size_t p = 0; p < signs.size(); ++p) sum += next.scale[p] * signs[p][i];
      codes[i] = sum;
    }
    levels = next;
    // Given the scales, the codes.
    residual = target;
    SubtractProduct(moments, codes, residual);
    DescendCodes(levels, moments, codes, residual);
  }
  residual = target;
  SubtractProduct(moments, codes, residual);
  std::vector<float> latent(n);
  Minima(moments, codes, residual, latent);
  // Rounding apart, minima are nearest to their codes.
  for (size_t i = 0; i < n; ++i) {
    if (levels.Value(latent[i]) != levels.Value(codes[i])) latent[i] = codes[i];
  }
  MakeLatent(levels, latent);
  return latent;
}

SignFactors FactorIntoSigns(std::span<const float> table, std::span<const float> weights,
                            int64_t size, const FactorOptions& options, ThreadPool* pool) {
  return Factorization(table, weights, size, options, pool).Run();
}

}  // namespace bitlm::trainer
