#include "trainer/layers/activation_quantization.h"

#include <algorithm>
#include <cmath>

#include "trainer/tensor/math.h"

namespace bitlm::trainer {
namespace {

template <typename Real>
BITLM_ALWAYS_INLINE void RoundRow(Real limit, bool hidden, Real* x, int64_t cols) {
  Real inverse = limit, scale = 1 / limit;
  if (!hidden) {
    Real max = 0;
    for (int64_t c = 0; c < cols; ++c) max = std::fabs(x[c]) > max ? std::fabs(x[c]) : max;
    if (max < static_cast<Real>(kSmallestMagnitude)) {
      std::fill(x, x + cols, Real(0));
      return;
    }
    inverse = limit / max;
    scale = max / limit;
  }
  // To nearest, ties to even: the sum has no bits for a fraction.
  constexpr Real kInteger = sizeof(Real) == sizeof(float) ? Real(0x1.8p+23) : Real(0x1.8p+52);
  for (int64_t c = 0; c < cols; ++c) {
    Real t = x[c] * inverse;
    t = t < limit ? t : limit;
    t = t > -limit ? t : -limit;
    x[c] = scale * ((t + kInteger) - kInteger);
  }
}

BITLM_CLONES void RoundRowFloat(float limit, bool hidden, float* x, int64_t cols) {
  RoundRow(limit, hidden, x, cols);
}
void RoundRowDouble(double limit, bool hidden, double* x, int64_t cols) {
  RoundRow(limit, hidden, x, cols);
}

template <typename Real, typename Row>
void RoundRows(const ActivationGrid& grid, Real* x, int64_t rows, int64_t cols, Row round_row) {
  if (grid.planes == 0) return;
  const auto limit = static_cast<Real>(QuantizationLimit(grid.planes));
  const bool hidden = grid.scale == QuantizationScale::kHidden;
  for (int64_t r = 0; r < rows; ++r) round_row(limit, hidden, x + r * cols, cols);
}

template <typename Real>
void RoundAll(const ActivationGrid& grid, Real* x, int64_t rows, int64_t cols, ThreadPool* pool) {
  if (grid.planes == 0) return;
  constexpr int64_t kPiece = 128;
  pool->ParallelFor(static_cast<size_t>((rows + kPiece - 1) / kPiece), [&](size_t piece) {
    const int64_t first = static_cast<int64_t>(piece) * kPiece;
    RoundActivationRows(grid, x + first * cols, std::min(kPiece, rows - first), cols);
  });
}

}  // namespace

void RoundActivationRows(const ActivationGrid& grid, float* x, int64_t rows, int64_t cols) {
  RoundRows(grid, x, rows, cols, RoundRowFloat);
}

void RoundActivationRows(const ActivationGrid& grid, double* x, int64_t rows, int64_t cols) {
  RoundRows(grid, x, rows, cols, RoundRowDouble);
}

void RoundActivations(const ActivationGrid& grid, float* x, int64_t rows, int64_t cols,
                      ThreadPool* pool) {
  RoundAll(grid, x, rows, cols, pool);
}

void RoundActivations(const ActivationGrid& grid, double* x, int64_t rows, int64_t cols,
                      ThreadPool* pool) {
  RoundAll(grid, x, rows, cols, pool);
}

}  // namespace bitlm::trainer
