#include "engine/kernels/quantize/quantize.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "engine/kernels/testing.h"

namespace bitlm {
namespace {

struct Result {
  std::vector<int8_t> q;
  std::vector<uint32_t> scales;
  std::vector<int32_t> totals;
  bool operator==(const Result&) const = default;
};

Result Quantized(const Variant<QuantizeFn>& variant, const std::vector<const float*>& rows,
                 size_t columns, int planes, QuantizationScale scale) {
  const size_t stride = columns + 13;
  GuardedArray<int8_t> q(rows.size() * static_cast<size_t>(planes) * stride);
  GuardedArray<float> scales(rows.size());
  GuardedArray<int32_t> totals(rows.size());
  variant.run({.rows = rows.data(),
               .batch = rows.size(),
               .columns = columns,
               .planes = planes,
               .scale = scale,
               .q = q.data(),
               .q_stride = stride,
               .scales = scales.data(),
               .totals = totals.data()});
  EXPECT_TRUE(q.GuardsHold() && scales.GuardsHold() && totals.GuardsHold()) << variant.name;
  return {.q = q.values(), .scales = Bits(scales.values()), .totals = totals.values()};
}

// The value that row b's planes hold in column k.
int32_t Value(const Result& result, size_t b, size_t k, size_t columns, int planes) {
  const size_t stride = columns + 13;
  const int8_t* q = result.q.data() + b * static_cast<size_t>(planes) * stride;
  return planes == 1 ? q[k] : 128 * q[k] + q[stride + k];
}

TEST(QuantizeTest, FollowsTheFormulaInEveryVariant) {
  std::mt19937 random(1);
  for (const size_t columns : Lengths()) {
    for (const int planes : {1, 2}) {
      for (const auto scale : {QuantizationScale::kHidden, QuantizationScale::kRowMaximum}) {
        const float range = scale == QuantizationScale::kHidden ? 1.0f : 7.5f;
        std::uniform_real_distribution<float> uniform(-range, range);
        std::vector<GuardedArray<float>> values;
        std::vector<const float*> rows = {nullptr};
        for (int b = 0; b < 5; ++b) {
          GuardedArray<float>& row = values.emplace_back(columns);
          for (size_t k = 0; k < columns; ++k) row[k] = uniform(random);
          rows.push_back(row.data());  // Its memory stays where it is when `values` grows.
        }
        for (const Variant<QuantizeFn>& variant : QuantizeVariants()) {
          if (!CanRun(variant)) continue;
          const Result result = Quantized(variant, rows, columns, planes, scale);
          const float limit = planes == 1 ? 127 : 16256;
          for (size_t b = 0; b < rows.size(); ++b) {
            float max = 0;
            for (size_t k = 0; rows[b] != nullptr && k < columns; ++k) {
              max = std::max(max, std::fabs(rows[b][k]));
            }
            const bool hidden = scale == QuantizationScale::kHidden;
            const float inverse = hidden ? limit : limit / max;
            const float expected_scale = hidden ? 1 / limit : max == 0 ? 0 : max / limit;
            ASSERT_EQ(result.scales[b], Bits({expected_scale})[0]) << variant.name;
            int32_t total = 0;
            for (size_t k = 0; k < columns; ++k) {
              const float t = rows[b] == nullptr ? 0 : rows[b][k] * inverse;
              const int32_t expected = static_cast<int32_t>(std::nearbyint(t));
              ASSERT_EQ(Value(result, b, k, columns, planes), expected) << variant.name;
              total += expected;
            }
            ASSERT_EQ(result.totals[b], total) << variant.name;
          }
        }
      }
    }
  }
}

TEST(QuantizeTest, RoundsTiesToEven) {
  const float step = 1.0f / 127;
  const std::vector<float> values = {0.5f * step,  1.5f * step, 2.5f * step, -0.5f * step,
                                     -1.5f * step, 1.0f,        -1.0f};
  for (const Variant<QuantizeFn>& variant : QuantizeVariants()) {
    if (!CanRun(variant)) continue;
    const Result result =
        Quantized(variant, {values.data()}, values.size(), 1, QuantizationScale::kHidden);
    // Products that are exact ties round to even; 127 * (k / 127) may miss the tie by one rounding.
    for (size_t k = 0; k < values.size(); ++k) {
      EXPECT_EQ(result.q[k], static_cast<int8_t>(std::nearbyint(values[k] * 127.0f))) << k;
    }
  }
  const std::vector<float> exact = {127, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f, -2.5f};
  const std::vector<int> expected = {127, 0, 2, 2, 0, -2, -2};
  for (const Variant<QuantizeFn>& variant : QuantizeVariants()) {
    if (!CanRun(variant)) continue;
    const Result result =
        Quantized(variant, {exact.data()}, exact.size(), 1, QuantizationScale::kRowMaximum);
    for (size_t k = 0; k < exact.size(); ++k) EXPECT_EQ(result.q[k], expected[k]) << k;
  }
}

TEST(QuantizeTest, ExtremesAreDefinedAndEqual) {
  const float inf = std::numeric_limits<float>::infinity();
  const std::vector<std::vector<float>> inputs = {
      {0, 0, -0.0f},          {1e-38f, -1e-38f, 0},   {1e-45f, 0, 0},
      {3.4e38f, -3.4e38f, 1}, {0x1p-100f, 0, 1e-31f}, {inf, 1, -inf},
      {NAN, 1, -1},           {NAN, NAN, NAN},        {200, -200, 3}};
  for (const std::vector<float>& input : inputs) {
    for (const int planes : {1, 2}) {
      for (const auto scale : {QuantizationScale::kHidden, QuantizationScale::kRowMaximum}) {
        const Result portable =
            Quantized(QuantizeVariants().back(), {input.data()}, input.size(), planes, scale);
        const int limit = planes == 1 ? 127 : 16256;
        for (size_t k = 0; k < input.size(); ++k) {
          EXPECT_LE(std::abs(Value(portable, 0, k, input.size(), planes)), limit);
        }
        for (const Variant<QuantizeFn>& variant : QuantizeVariants()) {
          if (!CanRun(variant)) continue;
          EXPECT_EQ(Quantized(variant, {input.data()}, input.size(), planes, scale), portable)
              << variant.name << " of " << testing::PrintToString(input);
        }
      }
    }
  }
}

}  // namespace
}  // namespace bitlm
