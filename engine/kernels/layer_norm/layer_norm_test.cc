#include "engine/kernels/layer_norm/layer_norm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "engine/kernels/testing.h"

namespace bitlm {
namespace {

constexpr size_t kBatch = 3;

GuardedArray<float> Random(size_t size, float low, float high, unsigned seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(low, high);
  GuardedArray<float> values(size);
  for (size_t i = 0; i < size; ++i) values[i] = uniform(random);
  return values;
}

struct Problem {
  Problem(size_t n, float low, float high)
      : columns(n),
        x(Random(kBatch * (n + 5), low, high, 1)),
        gain(Random(n, -2, 2, 2)),
        shift(Random(n, -1, 1, 3)) {}

  // `before`: what `out` held, which stands for the shift.
  std::vector<float> Run(const Variant<LayerNormFn>& variant,
                         const std::vector<float>* before) const {
    GuardedArray<float> out(kBatch * (columns + 2));
    if (before != nullptr) {
      for (size_t i = 0; i < out.size(); ++i) out[i] = (*before)[i];
    }
    variant.run({.x = x.data(),
                 .x_stride = columns + 5,
                 .columns = columns,
                 .batch = kBatch,
                 .gain = gain.data(),
                 .shift = before == nullptr ? shift.data() : nullptr,
                 .out = out.data(),
                 .out_stride = columns + 2});
    EXPECT_TRUE(out.GuardsHold()) << variant.name;
    return out.values();
  }

  size_t columns;
  GuardedArray<float> x, gain, shift;
};

TEST(LayerNormTest, TakesTheMeanOffAndDividesByTheDeviation) {
  for (const size_t n : Lengths()) {
    const Problem problem(n, -3, 5);
    for (const Variant<LayerNormFn>& variant : LayerNormVariants()) {
      if (!CanRun(variant)) continue;
      const std::vector<float> out = problem.Run(variant, nullptr);
      for (size_t b = 0; b < kBatch; ++b) {
        const float* x = problem.x.data() + b * (n + 5);
        double mean = 0, variance = 0;
        for (size_t i = 0; i < n; ++i) mean += x[i] / static_cast<double>(n);
        for (size_t i = 0; i < n; ++i) variance += (x[i] - mean) * (x[i] - mean);
        const double deviation = std::sqrt(variance / static_cast<double>(n) + kLayerNormEpsilon);
        for (size_t i = 0; i < n; ++i) {
          // A lane adds 32 values of at most 8, in size 128 at most, and the mean is as much in
          // error: 40 roundings of 8. The deviation is at least sqrt(epsilon) = 2^-8.3, and not
          // that small where there are two values or more.
          const double error = 40 * 8 * 0x1p-24 * 4 / deviation;
          const double expected = problem.gain[i] * ((x[i] - mean) / deviation) + problem.shift[i];
          ASSERT_NEAR(out[b * (n + 2) + i], expected, error) << variant.name << " of " << n;
        }
      }
    }
  }
}

TEST(LayerNormTest, VariantsAreEqualAlsoOnTopOfWhatIsThere) {
  for (const size_t n : Lengths()) {
    for (const float high : {1.0f, 1e30f, 0.0f}) {  // The second overflows, the third is constant.
      const Problem problem(n, 0, high);
      std::vector<float> before(kBatch * (n + 2));
      for (size_t i = 0; i < before.size(); ++i) before[i] = static_cast<float>(i) / 7;
      const Variant<LayerNormFn>& portable = LayerNormVariants().back();
      for (const Variant<LayerNormFn>& variant : LayerNormVariants()) {
        if (!CanRun(variant)) continue;
        ASSERT_EQ(Bits(problem.Run(variant, nullptr)), Bits(problem.Run(portable, nullptr)))
            << variant.name << " of " << n;
        ASSERT_EQ(Bits(problem.Run(variant, &before)), Bits(problem.Run(portable, &before)))
            << variant.name << " of " << n;
      }
    }
  }
}

}  // namespace
}  // namespace bitlm
