#include "trainer/layers/planes.h"

#include <algorithm>
#include <cstddef>
#include <vector>

#include "trainer/tensor/math.h"

namespace bitlm::trainer {
namespace {

// Rounds of least squares, by planes, and how far all but the last go: beyond the minimum, because
// the levels that values go to change with the scales. Below 2 no round raises the error.
constexpr int kRounds[] = {0, 0, 4, 6};
constexpr double kRelaxation = 1.7;
constexpr int64_t kLanes = 16;
constexpr int64_t kColumns = 32;      // Of one task: its values stay in the second-level cache.
constexpr int64_t kSample = 1 << 18;  // Values that a table's scales are fitted to, at least.

template <typename Real>
struct Lanes {
  typedef Real Vector __attribute__((vector_size(kLanes * sizeof(Real))));
};

// Per lane: sums of magnitudes, and how many are above each threshold and their sums.
template <typename Real>
struct LaneSums {
  Real sum[kLanes] = {};
  Real count_above[3][kLanes] = {};
  Real sum_above[3][kLanes] = {};
};

// Magnitudes [rows, stride], of which kLanes columns are used; threshold [3, kLanes].
template <int kThresholds, typename Real>
BITLM_ALWAYS_INLINE void SumLanes(const Real* magnitudes, int64_t rows, int64_t stride,
                                  const Real* threshold, LaneSums<Real>* sums) {
  using Vector = typename Lanes<Real>::Vector;
  Vector t[3] = {}, count[3] = {}, above[3] = {}, sum = {};
  for (int k = 0; k < kThresholds; ++k)
    __builtin_memcpy(&t[k], threshold + k * kLanes, sizeof(Vector));
  const Vector one = Vector{} + Real(1), zero = {};
  for (int64_t r = 0; r < rows; ++r) {
    Vector a;
    __builtin_memcpy(&a, magnitudes + r * stride, sizeof(Vector));
    sum += a;
    for (int k = 0; k < kThresholds; ++k) {
      const auto is_above = a > t[k];
      count[k] += is_above ? one : zero;
      above[k] += is_above ? a : zero;
    }
  }
  __builtin_memcpy(sums->sum, &sum, sizeof(Vector));
  for (int k = 0; k < kThresholds; ++k) {
    __builtin_memcpy(sums->count_above[k], &count[k], sizeof(Vector));
    __builtin_memcpy(sums->sum_above[k], &above[k], sizeof(Vector));
  }
}

BITLM_CLONES void SumLanes(int thresholds, const float* magnitudes, int64_t rows, int64_t stride,
                           const float* threshold, LaneSums<float>* sums) {
  if (thresholds == 0) SumLanes<0>(magnitudes, rows, stride, threshold, sums);
  if (thresholds == 1) SumLanes<1>(magnitudes, rows, stride, threshold, sums);
  if (thresholds == 3) SumLanes<3>(magnitudes, rows, stride, threshold, sums);
}
void SumLanes(int thresholds, const double* magnitudes, int64_t rows, int64_t stride,
              const double* threshold, LaneSums<double>* sums) {
  if (thresholds == 0) SumLanes<0>(magnitudes, rows, stride, threshold, sums);
  if (thresholds == 1) SumLanes<1>(magnitudes, rows, stride, threshold, sums);
  if (thresholds == 3) SumLanes<3>(magnitudes, rows, stride, threshold, sums);
}

template <typename Real>
BITLM_ALWAYS_INLINE void TakeRow(const Real* from, int64_t n, const Real (&level)[4][kColumns],
                                 const Real (&threshold)[3][kColumns], int levels, Real* to) {
  for (int64_t c = 0; c < n; ++c) {
    const Real magnitude = from[c] < 0 ? -from[c] : from[c];
    Real value = level[0][c];
    if (levels > 1) value = magnitude > threshold[0][c] ? level[1][c] : value;
    if (levels > 2) {
      value = magnitude > threshold[1][c] ? level[2][c] : value;
      value = magnitude > threshold[2][c] ? level[3][c] : value;
    }
    to[c] = from[c] > 0 ? value : -value;
  }
}
template <typename Real>
BITLM_ALWAYS_INLINE void TakeRows(const Real* from, int64_t rows, int64_t n, int64_t stride,
                                  const Real (&level)[4][kColumns],
                                  const Real (&threshold)[3][kColumns], int levels, Real* to) {
  for (int64_t r = 0; r < rows; ++r)
    TakeRow(from + r * stride, n, level, threshold, levels, to + r * stride);
}
BITLM_CLONES void RunTakeRows(const float* from, int64_t rows, int64_t n, int64_t stride,
                              const float (&level)[4][kColumns],
                              const float (&threshold)[3][kColumns], int levels, float* to) {
  TakeRows(from, rows, n, stride, level, threshold, levels, to);
}
void RunTakeRows(const double* from, int64_t rows, int64_t n, int64_t stride,
                 const double (&level)[4][kColumns], const double (&threshold)[3][kColumns],
                 int levels, double* to) {
  TakeRows(from, rows, n, stride, level, threshold, levels, to);
}

// What one fit needs of its values, by the thresholds of the last pass.
struct Sums {
  double count = 0, sum = 0;
  double count_above[3] = {}, sum_above[3] = {};
};

// The fit of one group of values as a sequence of passes over them: each asks for Sums with
// thresholds(), and Take moves on.
class Fit {
 public:
  explicit Fit(int planes) : planes_(planes) { levels_.planes = planes; }

  int planes() const { return planes_; }
  // Passes that a fit takes.
  static int Passes(int planes) {
    return planes == 1 ? 1 : (planes == 2 ? 1 : 3) + kRounds[planes];
  }
  // How many thresholds a pass looks at: 0, 1 or 3.
  static int Thresholds(int planes, int pass) {
    return planes == 1 || pass == 0 ? 0 : planes == 2 || pass == 1 ? 1 : 3;
  }
  const std::array<double, 3>& thresholds() const { return levels_.threshold; }
  const PlaneLevels<double>& levels() const { return levels_; }

  void Take(int pass, const Sums& sums) {
    if (!(sums.count > 0)) return;
    if (pass == 0) {
      scale_[0] = sums.sum / sums.count;
      levels_.limit = 3 * scale_[0];
      levels_.threshold[0] = scale_[0];
      if (planes_ == 1) Set();
      return;
    }
    if (planes_ == 3 && pass <= 2) {
      // Greedy: the mean distance to the nearest level so far.
      double distance = 0;
      const int n = pass == 1 ? 1 : 3;
      for (int k = 0; k <= n; ++k) {
        const Bin bin = BinOf(sums, k, n);
        const double center = pass == 1 ? scale_[0] : scale_[0] + (k < 2 ? -1 : 1) * scale_[1];
        // Between two thresholds the values are on one side of their level.
        const bool above = k % 2 == 1;
        distance += (above ? 1 : -1) * (bin.sum - center * bin.count);
      }
      scale_[static_cast<size_t>(pass)] = distance / sums.count;
      if (pass == 1) {
        levels_.threshold = {scale_[0] - scale_[1], scale_[0], scale_[0] + scale_[1]};
      } else {
        Set();
      }
      return;
    }
    LeastSquares(sums, pass + 1 == Passes(planes_) ? 1 : kRelaxation);
  }

 private:
  struct Bin {
    double count, sum;
  };
  // Values between thresholds k - 1 and k of n.
  static Bin BinOf(const Sums& sums, int k, int n) {
    Bin bin =
        k == 0 ? Bin{sums.count, sums.sum} : Bin{sums.count_above[k - 1], sums.sum_above[k - 1]};
    if (k < n) {
      bin.count -= sums.count_above[k];
      bin.sum -= sums.sum_above[k];
    }
    return bin;
  }

  void Set() { SetScales<double>({scale_.data(), static_cast<size_t>(planes_)}, &levels_); }

  // Given the levels that the values go to, the scales with the least squared error.
  void LeastSquares(const Sums& sums, double relaxation) {
    if (planes_ == 2) {
      const Bin low = BinOf(sums, 0, 1), high = BinOf(sums, 1, 1);
      if (low.count < 0.5 || high.count < 0.5) return;
      return Move({(high.sum / high.count + low.sum / low.count) / 2,
                   (high.sum / high.count - low.sum / low.count) / 2, 0},
                  relaxation);
    }
    // Normal equations: the sum over bins of n c c^T s = the sum of S c.
    const double n = sums.count;
    double gram[3] = {}, target[3] = {};  // Of the planes (0, 1), (0, 2), (1, 2).
    for (int k = 0; k < 4; ++k) {
      const Bin bin = BinOf(sums, k, 3);
      double c[3];
      for (int p = 0; p < 3; ++p) c[p] = levels_.code[static_cast<size_t>(k)] >> p & 1 ? 1 : -1;
      gram[0] += bin.count * c[0] * c[1];
      gram[1] += bin.count * c[0] * c[2];
      gram[2] += bin.count * c[1] * c[2];
      for (int p = 0; p < 3; ++p) target[p] += bin.sum * c[p];
    }
    const double a = gram[0] / n, b = gram[1] / n, d = gram[2] / n;
    const double determinant = 1 + 2 * a * b * d - a * a - b * b - d * d;
    if (!(determinant > 1e-6)) return;
    const double x = target[0] / n, y = target[1] / n, z = target[2] / n;
    Move({(x * (1 - d * d) + y * (b * d - a) + z * (a * d - b)) / determinant,
          (x * (b * d - a) + y * (1 - b * b) + z * (a * b - d)) / determinant,
          (x * (a * d - b) + y * (a * b - d) + z * (1 - a * a)) / determinant},
         relaxation);
  }

  void Move(const std::array<double, 3>& to, double relaxation) {
    for (size_t p = 0; p < 3; ++p) scale_[p] += relaxation * (to[p] - scale_[p]);
    Set();
  }

  int planes_;
  std::array<double, 3> scale_{};
  PlaneLevels<double> levels_;
};

// Runs the passes of kLanes fits, one by lane, over parts of magnitudes [rows, stride].
template <typename Real>
void RunFits(int planes, const Real* magnitudes, int64_t rows, int64_t stride, Fit* fits) {
  Real threshold[3 * kLanes];
  for (int pass = 0; pass < Fit::Passes(planes); ++pass) {
    for (size_t k = 0; k < 3; ++k) {
      for (size_t lane = 0; lane < kLanes; ++lane)
        threshold[k * kLanes + lane] = static_cast<Real>(fits[lane].thresholds()[k]);
    }
    LaneSums<Real> sums;
    SumLanes(Fit::Thresholds(planes, pass), magnitudes, rows, stride, threshold, &sums);
    for (size_t lane = 0; lane < kLanes; ++lane) {
      Sums of_lane{.count = static_cast<double>(rows), .sum = sums.sum[lane]};
      for (size_t k = 0; k < 3; ++k) {
        of_lane.count_above[k] = sums.count_above[k][lane];
        of_lane.sum_above[k] = sums.sum_above[k][lane];
      }
      fits[lane].Take(pass, of_lane);
    }
  }
}

// The levels as they are used: rounded once, in the scales, as the exported model has them.
template <typename Real>
PlaneLevels<Real> Rounded(const PlaneLevels<double>& levels) {
  PlaneLevels<Real> rounded;
  rounded.planes = levels.planes;
  rounded.limit = static_cast<Real>(levels.limit);
  std::vector<double> scales;
  for (int p = 0; p < levels.planes; ++p)
    scales.push_back(static_cast<Real>(levels.scale[static_cast<size_t>(p)]));
  SetScales<Real>(scales, &rounded);
  return rounded;
}

}  // namespace

template <typename Real>
void SetScales(std::span<const double> scales, PlaneLevels<Real>* levels) {
  const size_t count = size_t{1} << (scales.size() - 1);
  struct Level {
    Real value;
    unsigned code;
  };
  std::array<Level, 4> all;  // Ascending.
  const unsigned mask = (1u << scales.size()) - 1;
  for (size_t k = 0; k < count; ++k) {
    // Plane 0 is +1; the others count.
    Level level{.value = 0, .code = static_cast<unsigned>(1 | k << 1)};
    for (size_t p = 0; p < scales.size(); ++p) {
      const auto scale = static_cast<Real>(scales[p]);
      level.value += level.code >> p & 1 ? scale : -scale;
    }
    if (level.value < 0) level = {.value = -level.value, .code = ~level.code & mask};
    size_t at = k;
    for (; at > 0 && level.value < all[at - 1].value; --at) all[at] = all[at - 1];
    all[at] = level;
  }
  for (size_t p = 0; p < scales.size(); ++p) levels->scale[p] = static_cast<Real>(scales[p]);
  for (size_t k = 0; k < 4; ++k) {
    const Level& level = all[std::min(k, count - 1)];
    levels->level[k] = level.value;
    levels->code[k] = static_cast<uint8_t>(level.code);
    if (k > 0) {
      levels->threshold[k - 1] =
          k < count ? (levels->level[k - 1] + level.value) / 2 : PlaneLevels<Real>::kNone;
    }
  }
}

template <typename Real>
void FitColumns(int planes, std::span<const PlaneMatrix<Real>> matrices, int64_t cols,
                ThreadPool* pool, PlaneLevels<Real>* levels) {
  int64_t rows = 0;
  for (const auto& matrix : matrices) rows += matrix.rows;
  pool->ParallelFor(static_cast<size_t>((cols + kColumns - 1) / kColumns), [&](size_t task) {
    const int64_t first = static_cast<int64_t>(task) * kColumns;
    const int64_t count = std::min(kColumns, cols - first);
    std::vector<Real> magnitudes(static_cast<size_t>(rows * kColumns));
    Real* to = magnitudes.data();
    for (const auto& matrix : matrices) {
      for (int64_t r = 0; r < matrix.rows; ++r, to += kColumns) {
        const Real* from = matrix.values + r * cols + first;
        for (int64_t c = 0; c < count; ++c) to[c] = from[c] < 0 ? -from[c] : from[c];
      }
    }
    Real level[4][kColumns], threshold[3][kColumns];
    for (int64_t lane = 0; lane < count; lane += kLanes) {
      std::vector<Fit> fits(kLanes, Fit(planes));
      RunFits(planes, magnitudes.data() + lane, rows, kColumns, fits.data());
      for (int64_t c = lane; c < std::min(count, lane + kLanes); ++c) {
        PlaneLevels<Real>& fitted = levels[first + c];
        fitted = Rounded<Real>(fits[static_cast<size_t>(c - lane)].levels());
        for (size_t k = 0; k < 4; ++k) level[k][c] = fitted.level[k];
        for (size_t k = 0; k < 3; ++k) threshold[k][c] = fitted.threshold[k];
      }
    }
    for (const auto& matrix : matrices) {
      RunTakeRows(matrix.values + first, matrix.rows, count, cols, level, threshold,
                  1 << (planes - 1), matrix.effective + first);
    }
  });
}

template <typename Real>
PlaneLevels<Real> FitTable(int planes, const Real* values, int64_t rows, int64_t cols) {
  const int64_t step = std::max<int64_t>(1, rows * cols / kSample);
  std::vector<Real> magnitudes;
  for (int64_t r = 0; r < rows; r += step) {
    for (int64_t c = 0; c < cols; ++c) magnitudes.push_back(std::abs(values[r * cols + c]));
  }
  // In lanes; those of the last row that are missing are 0, which changes no sum of magnitudes.
  const auto count = static_cast<double>(magnitudes.size());
  magnitudes.resize((magnitudes.size() + kLanes - 1) / kLanes * kLanes);
  const auto lane_rows = static_cast<int64_t>(magnitudes.size()) / kLanes;
  Fit fit(planes);
  Real threshold[3 * kLanes];
  for (int pass = 0; pass < Fit::Passes(planes); ++pass) {
    for (size_t k = 0; k < 3; ++k) {
      // Not below 0, so that what is missing is in the lowest bin.
      const auto t = static_cast<Real>(std::max(0.0, fit.thresholds()[k]));
      std::fill_n(threshold + k * kLanes, kLanes, t);
    }
    Sums sums{.count = count};
    // In blocks: float sums of many values would lose digits.
    constexpr int64_t kBlock = 1024;
    for (int64_t row = 0; row < lane_rows; row += kBlock) {
      LaneSums<Real> lanes;
      SumLanes(Fit::Thresholds(planes, pass), magnitudes.data() + row * kLanes,
               std::min(kBlock, lane_rows - row), kLanes, threshold, &lanes);
      for (size_t lane = 0; lane < kLanes; ++lane) {
        sums.sum += lanes.sum[lane];
        for (size_t k = 0; k < 3; ++k) {
          sums.count_above[k] += lanes.count_above[k][lane];
          sums.sum_above[k] += lanes.sum_above[k][lane];
        }
      }
    }
    fit.Take(pass, sums);
  }
  return Rounded<Real>(fit.levels());
}

template <typename Real>
void TakeValues(const PlaneLevels<Real>& levels, const Real* from, int64_t n, ThreadPool* pool,
                Real* to) {
  Real level[4][kColumns], threshold[3][kColumns];
  for (size_t k = 0; k < 4; ++k) std::fill_n(level[k], kColumns, levels.level[k]);
  for (size_t k = 0; k < 3; ++k) std::fill_n(threshold[k], kColumns, levels.threshold[k]);
  const int count = 1 << (levels.planes - 1);
  constexpr int64_t kPiece = 1 << 15;
  pool->ParallelFor(static_cast<size_t>((n + kPiece - 1) / kPiece), [&](size_t piece) {
    const int64_t first = static_cast<int64_t>(piece) * kPiece;
    const int64_t size = std::min(kPiece, n - first);
    const int64_t whole = size / kColumns;
    RunTakeRows(from + first, whole, kColumns, kColumns, level, threshold, count, to + first);
    RunTakeRows(from + first + whole * kColumns, 1, size % kColumns, kColumns, level, threshold,
                count, to + first + whole * kColumns);
  });
}

template void SetScales(std::span<const double>, PlaneLevels<float>*);
template void SetScales(std::span<const double>, PlaneLevels<double>*);
template void FitColumns(int, std::span<const PlaneMatrix<float>>, int64_t, ThreadPool*,
                         PlaneLevels<float>*);
template void FitColumns(int, std::span<const PlaneMatrix<double>>, int64_t, ThreadPool*,
                         PlaneLevels<double>*);
template PlaneLevels<float> FitTable(int, const float*, int64_t, int64_t);
template PlaneLevels<double> FitTable(int, const double*, int64_t, int64_t);
template void TakeValues(const PlaneLevels<float>&, const float*, int64_t, ThreadPool*, float*);
template void TakeValues(const PlaneLevels<double>&, const double*, int64_t, ThreadPool*, double*);

}  // namespace bitlm::trainer
