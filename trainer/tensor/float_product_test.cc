#include "trainer/tensor/float_product.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "engine/base/thread_pool.h"
#include "trainer/tensor/random.h"

namespace bitlm::trainer {
namespace {

// More rows and columns than a tile has, and sizes that are no multiple of a vector.
constexpr int64_t kRows = 301, kColumns = 517, kInner = 53;

std::vector<float> Gaussian(uint64_t key, int64_t size) {
  std::vector<float> values(static_cast<size_t>(size));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(GaussianAt(key, i));
  return values;
}

void ExpectThatOfPlainLoops(const FloatProduct& product) {
  SCOPED_TRACE(testing::Message() << product.transpose_a << product.transpose_b << " "
                                  << product.factor << " " << product.keep);
  const auto a = Gaussian(1, kRows * kInner), b = Gaussian(2, kInner * kColumns);
  auto before = Gaussian(3, kRows * kColumns);
  if (product.keep == 0) {
    std::fill(before.begin(), before.end(), std::numeric_limits<float>::quiet_NaN());
  }
  ThreadPool one(1), three(3);
  auto c = before, again = before;
  Multiply(product, a, b, kInner, &one, c);
  Multiply(product, a, b, kInner, &three, again);
  ASSERT_EQ(c, again);
  for (int64_t i = 0; i < kRows; ++i) {
    for (int64_t j = 0; j < kColumns; ++j) {
      double sum = 0, magnitudes = 0;
      for (int64_t l = 0; l < kInner; ++l) {
        const double term =
            double{a[static_cast<size_t>(product.transpose_a ? l * kRows + i : i * kInner + l)]} *
            double{b[static_cast<size_t>(product.transpose_b ? j * kInner + l : l * kColumns + j)]};
        sum += term;
        magnitudes += std::fabs(term);
      }
      const auto at = static_cast<size_t>(i * kColumns + j);
      const double kept = product.keep == 0 ? 0 : double{product.keep} * double{before[at]};
      // A float sum of n terms, in any order, is off by at most n eps times their magnitudes.
      const double bound = (kInner + 2) * std::numeric_limits<float>::epsilon() *
                           (std::fabs(double{product.factor}) * magnitudes + std::fabs(kept));
      ASSERT_NEAR(c[at], double{product.factor} * sum + kept, bound) << i << ", " << j;
    }
  }
}

TEST(FloatProductTest, IsThatOfPlainLoopsWhateverTheThreads) {
  for (const bool transpose_a : {false, true}) {
    for (const bool transpose_b : {false, true}) {
      for (const float keep : {0.0f, 1.0f}) {
        for (const float factor : {1.0f, -1.0f}) {
          ExpectThatOfPlainLoops({transpose_a, transpose_b, factor, keep});
        }
      }
    }
  }
}

}  // namespace
}  // namespace bitlm::trainer
