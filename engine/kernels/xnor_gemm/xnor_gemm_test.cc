#include "engine/kernels/xnor_gemm/xnor_gemm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "engine/kernels/pack/pack.h"
#include "engine/kernels/panel.h"
#include "engine/kernels/testing.h"

namespace bitlm {
namespace {

bool Bit(const uint64_t* bits, size_t k) { return ((bits[k / 64] >> (k % 64)) & 1) != 0; }

// Runs every variant and compares with sums over the unpacked signs.
void Check(size_t rows, size_t columns, size_t batch, bool opposite = false) {
  SCOPED_TRACE(testing::Message() << rows << " x " << columns << ", batch " << batch);
  std::mt19937_64 random(rows * 31 + columns + batch);
  const size_t row_bytes = CeilDiv(columns, 8);
  std::vector<uint8_t> packed(rows * row_bytes);
  for (uint8_t& byte : packed) byte = opposite ? 0xff : static_cast<uint8_t>(random());
  GuardedArray<uint64_t> panels(SignPanelWords(rows, columns));
  PackSignPanels(packed.data(), rows, columns, panels.data());
  ASSERT_TRUE(panels.GuardsHold());

  const size_t words = CeilDiv(columns, kWordColumns);
  const size_t x_stride = words + 1;
  GuardedArray<uint64_t> x(batch * x_stride);
  for (size_t i = 0; i < x.size(); ++i) x[i] = opposite ? 0 : random();
  for (size_t b = 0; b < batch && columns % 64 != 0; ++b) {
    x[b * x_stride + words - 1] &= (uint64_t{1} << (columns % 64)) - 1;
  }
  const size_t padded = RoundUp(rows, kPanelRows);
  const size_t stride = padded + 3;
  for (const Variant<XnorGemmFn>& variant : XnorGemmVariants()) {
    if (!CanRun(variant)) continue;
    GuardedArray<int32_t> sums(batch * stride);
    variant.run({.panels = panels.data(),
                 .row_panels = padded / kPanelRows,
                 .columns = columns,
                 .x = x.data(),
                 .x_stride = x_stride,
                 .batch = batch,
                 .sums = sums.data(),
                 .sums_stride = stride});
    ASSERT_TRUE(sums.GuardsHold()) << variant.name;
    for (size_t b = 0; b < batch; ++b) {
      for (size_t r = 0; r < rows; ++r) {
        int64_t expected = 0;
        for (size_t k = 0; k < columns; ++k) {
          const bool plus = ((packed[r * row_bytes + k / 8] >> (k % 8)) & 1) != 0;
          expected += plus == Bit(x.data() + b * x_stride, k) ? 1 : -1;
        }
        ASSERT_EQ(sums[b * stride + r], expected) << variant.name << " row " << r << " of " << b;
      }
      for (size_t r = padded; r < stride; ++r) {
        ASSERT_EQ(static_cast<uint32_t>(sums[b * stride + r]), 0xA5A5A5A5u) << variant.name;
      }
    }
  }
}

TEST(XnorGemmTest, EveryColumnCount) {
  for (size_t columns = 1; columns <= 200; ++columns) Check(17, columns, 2);
  for (size_t words = 1; words < 40; ++words) Check(16, 64 * words - words % 3, 1);
}

TEST(XnorGemmTest, EveryRowAndPanelCount) {
  for (const size_t rows : PanelEdges()) {
    Check(rows, 70, 3);
    Check(rows, 70, 13);
  }
}

TEST(XnorGemmTest, EveryBatchSize) {
  for (size_t batch = 0; batch <= 40; ++batch) Check(35, 130, batch);
}

// Every bit differs: counts of bytes come to their limit, more words than one block.
TEST(XnorGemmTest, ExtremeCountsAreExact) {
  for (const size_t columns : {1984, 2048, 65536, 70001}) Check(16, columns, 3, true);
}

TEST(SignBitsTest, PositiveValuesOnly) {
  constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> special{0.0f,    -0.0f,    kNaN,      -kNaN, 1e-45f,
                                   -1e-45f, INFINITY, -INFINITY, 1e-30f};
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  for (const size_t columns : Lengths()) {
    GuardedArray<float> values(columns);
    for (size_t k = 0; k < columns; ++k) {
      values[k] = k < special.size() ? special[k] : normal(random);
    }
    const float* rows[] = {values.data(), nullptr, values.data()};
    const size_t stride = CeilDiv(columns, kWordColumns) + 1;
    for (const Variant<SignBitsFn>& variant : SignBitsVariants()) {
      if (!CanRun(variant)) continue;
      GuardedArray<uint64_t> bits(3 * stride);
      variant.run(
          {.rows = rows, .batch = 3, .columns = columns, .bits = bits.data(), .stride = stride});
      ASSERT_TRUE(bits.GuardsHold()) << variant.name;
      for (size_t b = 0; b < 3; ++b) {
        for (size_t k = 0; k < 64 * stride; ++k) {
          const bool expected = b != 1 && k < columns && values[k] > 0.0f;
          ASSERT_EQ(Bit(bits.data() + b * stride, k), expected) << variant.name << " " << k;
        }
      }
    }
  }
}

}  // namespace
}  // namespace bitlm
