#include "trainer/tensor/float_product.h"

#include <algorithm>
#include <cassert>
#include <cstddef>

#include "trainer/tensor/one_dnn.h"

namespace bitlm::trainer {

void Multiply(const FloatProduct& product, std::span<const float> a, std::span<const float> b,
              int64_t k, ThreadPool* pool, std::span<float> c) {
  const int64_t m = static_cast<int64_t>(a.size()) / k, n = static_cast<int64_t>(b.size()) / k;
  assert(m * k == static_cast<int64_t>(a.size()) && n * k == static_cast<int64_t>(b.size()));
  assert(m * n == static_cast<int64_t>(c.size()));
  // Tiles of C, whose number serves many threads and whose sizes do not depend on them.
  constexpr int64_t kRows = 256, kColumns = 512;
  const int64_t columns = (n + kColumns - 1) / kColumns;
  const int64_t tiles = (m + kRows - 1) / kRows * columns;
  pool->ParallelFor(static_cast<size_t>(tiles), [&](size_t tile) {
    const int64_t row = static_cast<int64_t>(tile) / columns * kRows;
    const int64_t column = static_cast<int64_t>(tile) % columns * kColumns;
    Sgemm({.transpose_a = product.transpose_a ? 'T' : 'N',
           .transpose_b = product.transpose_b ? 'T' : 'N',
           .m = std::min(kRows, m - row),
           .n = std::min(kColumns, n - column),
           .k = k,
           .factor = product.factor,
           .keep = product.keep},
          a.data() + (product.transpose_a ? row : row * k), product.transpose_a ? m : k,
          b.data() + (product.transpose_b ? column * k : column), product.transpose_b ? k : n,
          c.data() + row * n + column, n);
  });
}

}  // namespace bitlm::trainer
