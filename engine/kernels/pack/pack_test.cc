#include "engine/kernels/pack/pack.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "engine/kernels/panel.h"
#include "engine/kernels/testing.h"

namespace bitlm {
namespace {

TEST(PackTest, BinaryPanelsHoldEveryBitOnce) {
  std::mt19937 random(1);
  for (const size_t rows : {1, 15, 16, 17, 40}) {
    for (const size_t columns : Lengths()) {
      const size_t row_bytes = CeilDiv(columns, 8);
      // Bits after the last column are set here, and must not matter.
      std::vector<uint8_t> packed(rows * row_bytes);
      for (uint8_t& byte : packed) byte = static_cast<uint8_t>(random());
      GuardedArray<uint64_t> panels(BinaryPanelWords(rows, columns));
      PackBinaryPanels(packed.data(), rows, columns, panels.data());
      ASSERT_TRUE(panels.GuardsHold());
      const size_t groups = CeilDiv(columns, 4);
      for (size_t r = 0; r < RoundUp(rows, 16); ++r) {
        for (size_t k = 0; k < 4 * groups; ++k) {
          const bool inside = r < rows && k < columns;
          const bool expected = inside && ((packed[r * row_bytes + k / 8] >> (k % 8)) & 1) != 0;
          const uint64_t word = panels[r / 16 * groups + k / 4];
          ASSERT_EQ((word >> (4 * (r % 16) + k % 4)) & 1, expected ? 1u : 0u);
        }
      }
    }
  }
}

TEST(PackTest, SignPanelsHoldEveryBitOnce) {
  std::mt19937 random(1);
  for (const size_t rows : {1, 15, 16, 17, 40}) {
    for (const size_t columns : Lengths()) {
      const size_t row_bytes = CeilDiv(columns, 8);
      std::vector<uint8_t> packed(rows * row_bytes);
      for (uint8_t& byte : packed) byte = static_cast<uint8_t>(random());
      GuardedArray<uint64_t> panels(SignPanelWords(rows, columns));
      PackSignPanels(packed.data(), rows, columns, panels.data());
      ASSERT_TRUE(panels.GuardsHold());
      const size_t words = CeilDiv(columns, 64);
      for (size_t r = 0; r < RoundUp(rows, 16); ++r) {
        for (size_t k = 0; k < 64 * words; ++k) {
          const bool inside = r < rows && k < columns;
          const bool expected = inside && ((packed[r * row_bytes + k / 8] >> (k % 8)) & 1) != 0;
          const uint64_t word = panels[(r / 16 * words + k / 64) * 16 + r % 16];
          ASSERT_EQ((word >> (k % 64)) & 1, expected ? 1u : 0u);
        }
      }
    }
  }
}

TEST(PackTest, Int8PanelsHoldEveryValueOnce) {
  for (const size_t rows : {1, 16, 33}) {
    for (const size_t columns : {1, 4, 7}) {
      std::vector<int8_t> values(rows * columns);
      for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<int8_t>(i * 37 - 128);
      GuardedArray<uint8_t> panels(Int8PanelBytes(rows, columns));
      PackInt8Panels(values.data(), rows, columns, panels.data());
      ASSERT_TRUE(panels.GuardsHold());
      const size_t groups = CeilDiv(columns, 4);
      for (size_t r = 0; r < RoundUp(rows, 16); ++r) {
        for (size_t k = 0; k < 4 * groups; ++k) {
          const bool inside = r < rows && k < columns;
          const int expected = inside ? values[r * columns + k] + 128 : 128;
          ASSERT_EQ(panels[((r / 16 * groups + k / 4) * 16 + r % 16) * 4 + k % 4], expected);
        }
      }
    }
  }
}

TEST(PackTest, FloatPanelsHoldEveryValueOnce) {
  for (const size_t rows : {1, 16, 33}) {
    constexpr size_t kColumns = 5;
    std::vector<float> values(rows * kColumns);
    for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i + 1);
    GuardedArray<float> panels(FloatPanelValues(rows, kColumns));
    PackFloatPanels(values.data(), rows, kColumns, panels.data());
    ASSERT_TRUE(panels.GuardsHold());
    for (size_t r = 0; r < RoundUp(rows, 16); ++r) {
      for (size_t k = 0; k < kColumns; ++k) {
        const float expected = r < rows ? values[r * kColumns + k] : 0.0f;
        ASSERT_EQ(panels[(r / 16 * kColumns + k) * 16 + r % 16], expected);
      }
    }
  }
}

}  // namespace
}  // namespace bitlm
