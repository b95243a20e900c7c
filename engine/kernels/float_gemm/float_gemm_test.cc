#include "engine/kernels/float_gemm/float_gemm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "engine/kernels/pack/pack.h"
#include "engine/kernels/panel.h"
#include "engine/kernels/testing.h"

namespace bitlm {
namespace {

enum class Start { kZero, kBias, kAccumulate };

// Runs every variant and compares bits with fma over ascending columns.
void Check(size_t rows, size_t columns, size_t batch, Start start) {
  SCOPED_TRACE(testing::Message() << rows << " x " << columns << ", batch " << batch);
  std::mt19937 random(static_cast<unsigned>(rows + 7 * columns + batch));
  std::uniform_real_distribution<float> uniform(-2, 2);
  std::vector<float> weights(rows * columns);
  for (float& w : weights) w = uniform(random);
  GuardedArray<float> panels(FloatPanelValues(rows, columns));
  PackFloatPanels(weights.data(), rows, columns, panels.data());
  const size_t padded = RoundUp(rows, kPanelRows);
  const size_t x_stride = columns + 3;
  GuardedArray<float> x(batch * x_stride);
  GuardedArray<float> bias(padded);
  for (size_t i = 0; i < x.size(); ++i) x[i] = uniform(random);
  for (size_t i = 0; i < padded; ++i) bias[i] = uniform(random);
  const size_t stride = padded + 5;
  for (const Variant<FloatGemmFn>& variant : FloatGemmVariants()) {
    if (!CanRun(variant)) continue;
    GuardedArray<float> out(batch * stride);
    if (start == Start::kAccumulate) {
      for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<float>(i % 17) / 3;
    }
    const std::vector<float> before = out.values();
    variant.run({.panels = panels.data(),
                 .row_panels = padded / kPanelRows,
                 .columns = columns,
                 .x = x.data(),
                 .x_stride = x_stride,
                 .batch = batch,
                 .bias = start == Start::kZero ? nullptr : bias.data(),
                 .accumulate = start == Start::kAccumulate,
                 .out = out.data(),
                 .out_stride = stride});
    ASSERT_TRUE(out.GuardsHold()) << variant.name;
    std::vector<float> expected = before;
    for (size_t b = 0; b < batch; ++b) {
      for (size_t r = 0; r < padded; ++r) {
        float acc = start == Start::kZero   ? 0
                    : start == Start::kBias ? bias[r]
                                            : before[b * stride + r];
        for (size_t k = 0; k < columns; ++k) {
          acc = std::fma(r < rows ? weights[r * columns + k] : 0.0f, x[b * x_stride + k], acc);
        }
        expected[b * stride + r] = acc;
      }
    }
    ASSERT_EQ(Bits(out.values()), Bits(expected)) << variant.name;
  }
}

TEST(FloatGemmTest, EveryColumnCount) {
  for (const size_t columns : Lengths()) {
    for (const Start start : {Start::kZero, Start::kBias, Start::kAccumulate}) {
      Check(17, columns, 2, start);
    }
  }
}

TEST(FloatGemmTest, EveryRowAndPanelCount) {
  for (const size_t rows : PanelEdges()) {
    Check(rows, 21, 3, Start::kBias);
    Check(rows, 21, 13, Start::kAccumulate);
  }
}

TEST(FloatGemmTest, EveryBatchSize) {
  for (size_t batch = 0; batch <= 40; ++batch) Check(35, 30, batch, Start::kBias);
}

// More weights than one pass over the batch keeps in cache.
TEST(FloatGemmTest, ManyPanels) { Check(500, 1300, 14, Start::kBias); }

}  // namespace
}  // namespace bitlm
