#include "trainer/layers/planes.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <vector>

#include "trainer/layers/plane_fit.h"
#include "trainer/tensor/math.h"

namespace bitlm::trainer {
namespace {

constexpr int64_t kLanes = 16;
constexpr int64_t kColumns = 32;  // Of one task: its values stay in the second-level cache.

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
                                 const Real (&threshold)[3][kColumns], int levels, Real hardness,
                                 Real* to) {
  for (int64_t c = 0; c < n; ++c) {
    const Real magnitude = from[c] < 0 ? -from[c] : from[c];
    Real value = level[0][c];
    if (levels > 1) value = magnitude > threshold[0][c] ? level[1][c] : value;
    if (levels > 2) {
      value = magnitude > threshold[1][c] ? level[2][c] : value;
      value = magnitude > threshold[2][c] ? level[3][c] : value;
    }
    to[c] = hardness * (from[c] > 0 ? value : -value) + (1 - hardness) * from[c];
  }
}
template <typename Real>
BITLM_ALWAYS_INLINE void TakeRows(const Real* from, int64_t rows, int64_t n, int64_t stride,
                                  const Real (&level)[4][kColumns],
                                  const Real (&threshold)[3][kColumns], int levels, Real hardness,
                                  Real* to) {
  for (int64_t r = 0; r < rows; ++r)
    TakeRow(from + r * stride, n, level, threshold, levels, hardness, to + r * stride);
}
BITLM_CLONES void RunTakeRows(const float* from, int64_t rows, int64_t n, int64_t stride,
                              const float (&level)[4][kColumns],
                              const float (&threshold)[3][kColumns], int levels, float hardness,
                              float* to) {
  TakeRows(from, rows, n, stride, level, threshold, levels, hardness, to);
}
void RunTakeRows(const double* from, int64_t rows, int64_t n, int64_t stride,
                 const double (&level)[4][kColumns], const double (&threshold)[3][kColumns],
                 int levels, double hardness, double* to) {
  TakeRows(from, rows, n, stride, level, threshold, levels, hardness, to);
}

// Runs the passes of kLanes fits, one by lane, over parts of magnitudes [rows, stride].
template <typename Real>
void RunFits(int planes, const Real* magnitudes, int64_t rows, int64_t stride, PlaneFit* fits) {
  Real threshold[3 * kLanes];
  for (int pass = 0; pass < PlaneFit::Passes(planes); ++pass) {
    for (size_t k = 0; k < 3; ++k) {
      for (size_t lane = 0; lane < kLanes; ++lane)
        threshold[k * kLanes + lane] = static_cast<Real>(fits[lane].thresholds()[k]);
    }
    LaneSums<Real> sums;
    SumLanes(PlaneFit::Thresholds(planes, pass), magnitudes, rows, stride, threshold, &sums);
    for (size_t lane = 0; lane < kLanes; ++lane) {
      PlaneSums of_lane{.count = static_cast<double>(rows), .sum = sums.sum[lane]};
      for (size_t k = 0; k < 3; ++k) {
        of_lane.count_above[k] = sums.count_above[k][lane];
        of_lane.sum_above[k] = sums.sum_above[k][lane];
      }
      fits[lane].Take(pass, of_lane);
    }
  }
}

}  // namespace

template <typename Real>
void FitColumns(int planes, std::span<const PlaneMatrix<Real>> matrices, int64_t cols,
                Real hardness, ThreadPool* pool, PlaneLevels<Real>* levels) {
  int64_t rows = 0;
  for (const auto& matrix : matrices) rows += matrix.rows;
  pool->ParallelFor(static_cast<size_t>((cols + kColumns - 1) / kColumns), [&](size_t task) {
    const int64_t first = static_cast<int64_t>(task) * kColumns;
    const int64_t count = std::min(kColumns, cols - first);
    // Kept: a step allocates nothing. Lanes beyond `count` have what another task left; their fits
    // are not used.
    thread_local std::vector<Real> magnitudes;
    magnitudes.resize(static_cast<size_t>(rows * kColumns));
    Real* to = magnitudes.data();
    for (const auto& matrix : matrices) {
      for (int64_t r = 0; r < matrix.rows; ++r, to += kColumns) {
        const Real* from = matrix.values + r * cols + first;
        for (int64_t c = 0; c < count; ++c) to[c] = from[c] < 0 ? -from[c] : from[c];
      }
    }
    Real level[4][kColumns], threshold[3][kColumns];
    for (int64_t lane = 0; lane < count; lane += kLanes) {
      std::array<PlaneFit, kLanes> fits;
      fits.fill(PlaneFit(planes));
      RunFits(planes, magnitudes.data() + lane, rows, kColumns, fits.data());
      for (int64_t c = lane; c < std::min(count, lane + kLanes); ++c) {
        PlaneLevels<Real>& fitted = levels[first + c];
        fitted = Rounded<Real>(fits[static_cast<size_t>(c - lane)].levels());
        fitted.hardness = hardness;
        for (size_t k = 0; k < 4; ++k) level[k][c] = fitted.level[k];
        for (size_t k = 0; k < 3; ++k) threshold[k][c] = fitted.threshold[k];
      }
    }
    for (const auto& matrix : matrices) {
      RunTakeRows(matrix.values + first, matrix.rows, count, cols, level, threshold,
                  1 << (planes - 1), hardness, matrix.effective + first);
    }
  });
}

template <typename Real>
PlaneLevels<Real> FitTable(int planes, const Real* values, int64_t rows, int64_t cols) {
  const int64_t step = std::max<int64_t>(1, rows * cols / kTableSample);
  thread_local std::vector<Real> magnitudes;  // Kept: a step allocates nothing.
  magnitudes.clear();
  for (int64_t r = 0; r < rows; r += step) {
    for (int64_t c = 0; c < cols; ++c) magnitudes.push_back(std::abs(values[r * cols + c]));
  }
  // In lanes; those of the last row that are missing are 0, which changes no sum of magnitudes.
  const auto count = static_cast<double>(magnitudes.size());
  magnitudes.resize((magnitudes.size() + kLanes - 1) / kLanes * kLanes);
  const auto lane_rows = static_cast<int64_t>(magnitudes.size()) / kLanes;
  PlaneFit fit(planes);
  Real threshold[3 * kLanes];
  for (int pass = 0; pass < PlaneFit::Passes(planes); ++pass) {
    for (size_t k = 0; k < 3; ++k) {
      // Not below 0, so that what is missing is in the lowest bin.
      const auto t = static_cast<Real>(std::max(0.0, fit.thresholds()[k]));
      std::fill_n(threshold + k * kLanes, kLanes, t);
    }
    PlaneSums sums{.count = count};
    // In blocks: float sums of many values would lose digits.
    constexpr int64_t kBlock = 1024;
    for (int64_t row = 0; row < lane_rows; row += kBlock) {
      LaneSums<Real> lanes;
      SumLanes(PlaneFit::Thresholds(planes, pass), magnitudes.data() + row * kLanes,
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
    RunTakeRows(from + first, whole, kColumns, kColumns, level, threshold, count, levels.hardness,
                to + first);
    RunTakeRows(from + first + whole * kColumns, 1, size % kColumns, kColumns, level, threshold,
                count, levels.hardness, to + first + whole * kColumns);
  });
}

template void FitColumns(int, std::span<const PlaneMatrix<float>>, int64_t, float, ThreadPool*,
                         PlaneLevels<float>*);
template void FitColumns(int, std::span<const PlaneMatrix<double>>, int64_t, double, ThreadPool*,
                         PlaneLevels<double>*);
template PlaneLevels<float> FitTable(int, const float*, int64_t, int64_t);
template PlaneLevels<double> FitTable(int, const double*, int64_t, int64_t);
template void TakeValues(const PlaneLevels<float>&, const float*, int64_t, ThreadPool*, float*);
template void TakeValues(const PlaneLevels<double>&, const double*, int64_t, ThreadPool*, double*);

}  // namespace bitlm::trainer
