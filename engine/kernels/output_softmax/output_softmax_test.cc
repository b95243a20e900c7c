#include "engine/kernels/output_softmax/output_softmax.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "engine/kernels/dequantize/dequantize.h"
#include "engine/kernels/testing.h"

namespace bitlm {
namespace {

std::vector<size_t> Counts() {
  std::vector<size_t> counts = Lengths();
  counts.insert(counts.end(), {511, 512});
  return counts;
}

GuardedArray<float> Logits(size_t count, float range, unsigned seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(-range, range);
  GuardedArray<float> logits(count);
  for (size_t v = 0; v < count; ++v) logits[v] = uniform(random);
  return logits;
}

TEST(SoftmaxTileTest, SumsExponentials) {
  for (const size_t count : Counts()) {
    const GuardedArray<float> logits = Logits(count, 12, 1);
    const float max = *std::max_element(logits.data(), logits.data() + count);
    double sum = 0;
    for (size_t v = 0; v < count; ++v) sum += std::exp(double{logits[v]} - max);
    for (const Variant<SoftmaxTileFn>& variant : SoftmaxTileVariants()) {
      if (!CanRun(variant)) continue;
      const SoftmaxPart part = variant.run(logits.data(), count);
      EXPECT_EQ(part.max, max) << variant.name;
      // Positive terms through at most 32 + 4 additions; each term has a rounded argument of at
      // most 24 and Exp's own 2^-21.
      EXPECT_NEAR(part.sum / sum, 1, (36 + 24 + 8) * 0x1p-24) << variant.name;
    }
  }
}

TEST(SoftmaxTileTest, VariantsAreEqual) {
  for (const size_t count : Counts()) {
    for (const float range : {0.0f, 1.0f, 300.0f, INFINITY}) {
      GuardedArray<float> logits = Logits(count, std::isinf(range) ? 1 : range, 2);
      if (std::isinf(range)) {
        logits[count / 2] = INFINITY;
        logits[count - 1] = NAN;
        logits[0] = -INFINITY;
      }
      const SoftmaxPart expected = SoftmaxTileVariants().back().run(logits.data(), count);
      for (const Variant<SoftmaxTileFn>& variant : SoftmaxTileVariants()) {
        if (!CanRun(variant)) continue;
        const SoftmaxPart part = variant.run(logits.data(), count);
        EXPECT_EQ(Bits({part.max, part.sum}), Bits({expected.max, expected.sum}))
            << variant.name << " of " << count;
      }
    }
  }
}

// Equal to kernels/dequantize, then SoftmaxTile.
TEST(SoftmaxSumsTest, IsTheSoftmaxOfTheLogitsThatTheSumsMake) {
  std::mt19937 random(4);
  for (const size_t count : Counts()) {
    GuardedArray<int32_t> sums(count);
    for (size_t v = 0; v < count; ++v) sums[v] = static_cast<int32_t>(random() % 130000) - 65000;
    const GuardedArray<float> bias = Logits(count, 2, 5);
    for (const float scale : {1e-4f, -1e-4f, 3e-2f, 1e37f}) {
      for (const float* bias_or_none : {static_cast<const float*>(nullptr), bias.data()}) {
        std::vector<float> expected(count);
        DequantizeVariants().back().run({.x_sums = sums.data(),
                                         .x_scales = &scale,
                                         .bias = bias_or_none,
                                         .rows = count,
                                         .sums_stride = count,
                                         .batch = 1,
                                         .out = expected.data(),
                                         .out_stride = count});
        const SoftmaxPart of_logits = SoftmaxTileVariants().back().run(expected.data(), count);
        for (const Variant<SoftmaxSumsFn>& variant : SoftmaxSumsVariants()) {
          if (!CanRun(variant)) continue;
          GuardedArray<float> logits(count);
          const SoftmaxPart part = variant.run({.sums = sums.data(),
                                                .scale = scale,
                                                .bias = bias_or_none,
                                                .count = count,
                                                .logits = logits.data()});
          ASSERT_TRUE(logits.GuardsHold()) << variant.name;
          ASSERT_EQ(Bits(logits.values()), Bits(expected)) << variant.name;
          ASSERT_EQ(Bits({part.max, part.sum}), Bits({of_logits.max, of_logits.sum}))
              << variant.name << " of " << count;
        }
      }
    }
  }
}

TEST(CountBeforeTest, CountsHigherLogitsAndEarlierTies) {
  for (const size_t count : Counts()) {
    GuardedArray<float> logits = Logits(count, 2, 3);
    for (size_t v = 0; v < count; v += 3) logits[v] = 0.5f;  // Ties.
    for (const int32_t first_id : {0, 1000}) {
      for (const int32_t id : {0, 3, 1000, 1006, 5000}) {
        for (const float logit : {0.5f, -3.0f, 3.0f}) {
          int32_t expected = 0;
          for (size_t v = 0; v < count; ++v) {
            const bool tie = logits[v] == logit && first_id + static_cast<int32_t>(v) < id;
            if (logits[v] > logit || tie) ++expected;
          }
          for (const Variant<CountBeforeFn>& variant : CountBeforeVariants()) {
            if (!CanRun(variant)) continue;
            ASSERT_EQ(variant.run({.logits = logits.data(),
                                   .count = count,
                                   .first_id = first_id,
                                   .logit = logit,
                                   .id = id}),
                      expected)
                << variant.name;
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace bitlm
