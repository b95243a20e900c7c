#include "trainer/layers/dropout.h"

#include <algorithm>

#include "trainer/tensor/math.h"
#include "trainer/tensor/random.h"

namespace bitlm::trainer {
namespace {

template <typename Real>
BITLM_ALWAYS_INLINE void DropRow(uint32_t key, uint32_t threshold, Real factor, Real* x,
                                 int64_t cols) {
  for (int64_t c = 0; c < cols; ++c) {
    x[c] = Hash32(key, static_cast<uint32_t>(c)) >= threshold ? x[c] * factor : Real(0);
  }
}

BITLM_CLONES void DropRowFloat(uint32_t key, uint32_t threshold, float factor, float* x,
                               int64_t cols) {
  DropRow(key, threshold, factor, x, cols);
}
void DropRowDouble(uint32_t key, uint32_t threshold, double factor, double* x, int64_t cols) {
  DropRow(key, threshold, factor, x, cols);
}

struct Rate {
  uint32_t threshold;  // A hash below it drops.
  double factor;       // Of what is kept.
  explicit Rate(double rate)
      : threshold(static_cast<uint32_t>(rate * 4294967296.0)), factor(1.0 / (1.0 - rate)) {}
};

template <typename Body>
void ForRows(ThreadPool* pool, int64_t rows, const Body& body) {
  constexpr int64_t kPiece = 128;
  pool->ParallelFor(static_cast<size_t>((rows + kPiece - 1) / kPiece), [&](size_t piece) {
    const int64_t first = static_cast<int64_t>(piece) * kPiece;
    for (int64_t r = first; r < std::min(rows, first + kPiece); ++r) body(r);
  });
}

// Row `r` of the mask, on one row of values.
template <typename Real, typename Row>
void ApplyRow(const DropoutMask& mask, const Rate& rate, int64_t r, Real* x, int64_t cols,
              Row drop_row) {
  const int64_t id = mask.period > 0 ? r % mask.period : r;
  drop_row(Hash32(mask.key, static_cast<uint32_t>(id)), rate.threshold,
           static_cast<Real>(rate.factor), x, cols);
}

template <typename Real, typename Row>
void Apply(const DropoutMask& mask, Real* x, int64_t rows, int64_t cols, ThreadPool* pool,
           Row drop_row) {
  if (mask.rate <= 0) return;
  const Rate rate(mask.rate);
  ForRows(pool, rows, [&](int64_t r) { ApplyRow(mask, rate, r, x + r * cols, cols, drop_row); });
}

template <typename Real, typename Row>
void ApplyToRows(const DropoutMask& mask, int64_t first, Real* x, int64_t rows, int64_t cols,
                 Row drop_row) {
  if (mask.rate <= 0) return;
  const Rate rate(mask.rate);
  for (int64_t r = 0; r < rows; ++r) ApplyRow(mask, rate, first + r, x + r * cols, cols, drop_row);
}

template <typename Real>
void ApplyToWords(const DropoutMask& mask, std::span<const int32_t> tokens, Real* x, int64_t cols,
                  ThreadPool* pool) {
  if (mask.rate <= 0) return;
  const Rate rate(mask.rate);
  ForRows(pool, static_cast<int64_t>(tokens.size()), [&](int64_t r) {
    const auto token = static_cast<uint32_t>(tokens[static_cast<size_t>(r)]);
    const bool kept = Hash32(mask.key, token) >= rate.threshold;
    const auto factor = kept ? static_cast<Real>(rate.factor) : Real(0);
    for (int64_t c = r * cols; c < (r + 1) * cols; ++c) x[c] *= factor;
  });
}

}  // namespace

void ApplyDropout(const DropoutMask& mask, float* x, int64_t rows, int64_t cols, ThreadPool* pool) {
  Apply(mask, x, rows, cols, pool, DropRowFloat);
}

void ApplyDropout(const DropoutMask& mask, double* x, int64_t rows, int64_t cols,
                  ThreadPool* pool) {
  Apply(mask, x, rows, cols, pool, DropRowDouble);
}

void ApplyDropoutToRows(const DropoutMask& mask, int64_t first, float* x, int64_t rows,
                        int64_t cols) {
  ApplyToRows(mask, first, x, rows, cols, DropRowFloat);
}

void ApplyDropoutToRows(const DropoutMask& mask, int64_t first, double* x, int64_t rows,
                        int64_t cols) {
  ApplyToRows(mask, first, x, rows, cols, DropRowDouble);
}

void ApplyWordDropout(const DropoutMask& mask, std::span<const int32_t> tokens, float* x,
                      int64_t cols, ThreadPool* pool) {
  ApplyToWords(mask, tokens, x, cols, pool);
}

void ApplyWordDropout(const DropoutMask& mask, std::span<const int32_t> tokens, double* x,
                      int64_t cols, ThreadPool* pool) {
  ApplyToWords(mask, tokens, x, cols, pool);
}

}  // namespace bitlm::trainer
