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

template <typename Real, typename Row>
void Apply(const DropoutMask& mask, Real* x, int64_t rows, int64_t cols, ThreadPool* pool,
           Row drop_row) {
  if (mask.rate <= 0) return;
  const auto threshold = static_cast<uint32_t>(mask.rate * 4294967296.0);
  const auto factor = static_cast<Real>(1.0 / (1.0 - mask.rate));
  constexpr int64_t kPiece = 128;
  pool->ParallelFor(static_cast<size_t>((rows + kPiece - 1) / kPiece), [&](size_t piece) {
    const int64_t first = static_cast<int64_t>(piece) * kPiece;
    for (int64_t r = first; r < std::min(rows, first + kPiece); ++r) {
      const int64_t id = mask.period > 0 ? r % mask.period : r;
      drop_row(Hash32(mask.key, static_cast<uint32_t>(id)), threshold, factor, x + r * cols, cols);
    }
  });
}

}  // namespace

void ApplyDropout(const DropoutMask& mask, float* x, int64_t rows, int64_t cols, ThreadPool* pool) {
  Apply(mask, x, rows, cols, pool, DropRowFloat);
}

void ApplyDropout(const DropoutMask& mask, double* x, int64_t rows, int64_t cols,
                  ThreadPool* pool) {
  Apply(mask, x, rows, cols, pool, DropRow<double>);
}

}  // namespace bitlm::trainer
