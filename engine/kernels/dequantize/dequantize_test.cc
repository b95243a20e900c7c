#include "engine/kernels/dequantize/dequantize.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "engine/kernels/testing.h"

namespace bitlm {
namespace {

TEST(DequantizeTest, FollowsTheFormulaInEveryVariant) {
  std::mt19937 random(1);
  std::uniform_real_distribution<float> uniform(-1, 1);
  constexpr size_t kBatch = 3;
  for (const size_t rows : Lengths()) {
    const size_t stride = rows + 2;
    GuardedArray<int32_t> x_sums(kBatch * stride), h_sums(kBatch * stride);
    GuardedArray<float> x_scales(kBatch), h_scales(kBatch), row_scales(rows), bias(rows);
    for (size_t i = 0; i < kBatch * stride; ++i) {
      // Up to 2^30: beyond 24 bits the conversion rounds.
      x_sums[i] = static_cast<int32_t>(random()) >> (random() % 24 + 1);
      h_sums[i] = static_cast<int32_t>(random()) >> (random() % 24 + 1);
    }
    for (size_t b = 0; b < kBatch; ++b) {
      x_scales[b] = uniform(random);
      h_scales[b] = uniform(random);
    }
    for (size_t r = 0; r < rows; ++r) {
      row_scales[r] = uniform(random);
      bias[r] = uniform(random);
    }
    for (int options = 0; options < 16; ++options) {
      const bool with_h = options & 1, with_scales = options & 2, with_bias = options & 4;
      const bool accumulate = options & 8;
      for (const Variant<DequantizeFn>& variant : DequantizeVariants()) {
        if (!CanRun(variant)) continue;
        GuardedArray<float> out(kBatch * stride);
        for (size_t b = 0; b < kBatch && accumulate; ++b) {
          for (size_t r = 0; r < rows; ++r) out[b * stride + r] = static_cast<float>(b * r) - 3.5f;
        }
        std::vector<float> expected = out.values();
        variant.run({.x_sums = x_sums.data(),
                     .x_scales = x_scales.data(),
                     .h_sums = with_h ? h_sums.data() : nullptr,
                     .h_scales = with_h ? h_scales.data() : nullptr,
                     .row_scales = with_scales ? row_scales.data() : nullptr,
                     .bias = with_bias ? bias.data() : nullptr,
                     .accumulate = accumulate,
                     .rows = rows,
                     .sums_stride = stride,
                     .batch = kBatch,
                     .out = out.data(),
                     .out_stride = stride});
        for (size_t b = 0; b < kBatch; ++b) {
          for (size_t r = 0; r < rows; ++r) {
            float a = x_scales[b] * static_cast<float>(x_sums[b * stride + r]);
            if (with_h) a = std::fma(h_scales[b], static_cast<float>(h_sums[b * stride + r]), a);
            const float shift = accumulate ? expected[b * stride + r] : with_bias ? bias[r] : 0.0f;
            if (with_scales) {
              a = std::fma(row_scales[r], a, shift);
            } else if (with_bias || accumulate) {
              a += shift;
            }
            expected[b * stride + r] = a;
          }
        }
        ASSERT_TRUE(out.GuardsHold()) << variant.name;
        ASSERT_EQ(Bits(out.values()), Bits(expected)) << variant.name << ", " << rows << " rows";
      }
    }
  }
}

}  // namespace
}  // namespace bitlm
