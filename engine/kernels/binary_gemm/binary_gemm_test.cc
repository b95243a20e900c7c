#include "engine/kernels/binary_gemm/binary_gemm.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <vector>

#include "engine/kernels/pack/pack.h"
#include "engine/kernels/panel.h"
#include "engine/kernels/testing.h"

namespace bitlm {

#if defined(__x86_64__)
namespace emulated_amx {
BinaryGemmFn BinaryGemm;
}
#endif

namespace {

// All of the kernel's, and that of tile registers where there are none.
std::vector<Variant<BinaryGemmFn>> Variants() {
  const auto known = BinaryGemmVariants();
  std::vector<Variant<BinaryGemmFn>> variants(known.begin(), known.end());
#if defined(__x86_64__)
  variants.push_back({"emulated_amx", cpu::kAvx512, &emulated_amx::BinaryGemm});
#endif
  return variants;
}

struct Problem {
  size_t rows;
  size_t columns;
  size_t batch;
  int planes;
};

// Runs every variant and compares with sums over the unpacked signs.
void Check(const Problem& problem, bool extreme) {
  SCOPED_TRACE(testing::Message() << problem.rows << " x " << problem.columns << ", batch "
                                  << problem.batch << ", planes " << problem.planes);
  std::mt19937 random(static_cast<unsigned>(problem.rows * 31 + problem.columns + problem.batch));
  const size_t row_bytes = CeilDiv(problem.columns, 8);
  std::vector<uint8_t> packed(problem.rows * row_bytes);
  for (uint8_t& byte : packed) byte = extreme ? 0xff : static_cast<uint8_t>(random());
  GuardedArray<uint64_t> panels(BinaryPanelWords(problem.rows, problem.columns));
  PackBinaryPanels(packed.data(), problem.rows, problem.columns, panels.data());
  ASSERT_TRUE(panels.GuardsHold());

  const size_t planes = static_cast<size_t>(problem.planes);
  const size_t q_stride = RoundUp(problem.columns, 4) + 4;  // Not a multiple of a vector.
  GuardedArray<int8_t> q(problem.batch * planes * q_stride);
  std::vector<int32_t> totals(problem.batch);
  std::vector<std::vector<int32_t>> value(problem.batch, std::vector<int32_t>(problem.columns));
  for (size_t b = 0; b < problem.batch; ++b) {
    int8_t* row = q.data() + b * planes * q_stride;
    std::memset(row, 0, planes * q_stride);
    for (size_t k = 0; k < problem.columns; ++k) {
      const int high = extreme ? -127 : static_cast<int>(random() % 255) - 127;
      const int low = extreme ? 0 : static_cast<int>(random() % 128) - 64;
      row[k] = static_cast<int8_t>(high);
      if (problem.planes == 2) row[q_stride + k] = static_cast<int8_t>(low);
      value[b][k] = problem.planes == 2 ? 128 * high + low : high;
      totals[b] += value[b][k];
    }
  }
  const size_t padded = RoundUp(problem.rows, kPanelRows);
  for (const Variant<BinaryGemmFn>& variant : Variants()) {
    if (!CanRun(variant)) continue;
    const size_t stride = padded + 3;
    GuardedArray<int32_t> sums(problem.batch * stride);
    variant.run({.panels = panels.data(),
                 .row_panels = padded / kPanelRows,
                 .groups = CeilDiv(problem.columns, kGroupColumns),
                 .q = q.data(),
                 .q_stride = q_stride,
                 .planes = problem.planes,
                 .totals = totals.data(),
                 .batch = problem.batch,
                 .sums = sums.data(),
                 .sums_stride = stride});
    ASSERT_TRUE(sums.GuardsHold()) << variant.name;
    for (size_t b = 0; b < problem.batch; ++b) {
      for (size_t r = 0; r < problem.rows; ++r) {
        int64_t expected = 0;
        for (size_t k = 0; k < problem.columns; ++k) {
          const bool plus = ((packed[r * row_bytes + k / 8] >> (k % 8)) & 1) != 0;
          expected += plus ? value[b][k] : -value[b][k];
        }
        ASSERT_EQ(sums[b * stride + r], expected) << variant.name << " row " << r << " of " << b;
      }
      for (size_t r = padded; r < stride; ++r) {
        ASSERT_EQ(static_cast<uint32_t>(sums[b * stride + r]), 0xA5A5A5A5u) << variant.name;
      }
    }
  }
}

// Two tiles of 64 columns and then some.
TEST(BinaryGemmTest, EveryColumnCount) {
  for (size_t columns = 1; columns <= 200; ++columns) {
    for (const int planes : {1, 2}) Check({17, columns, 2, planes}, false);
  }
  for (const int planes : {1, 2}) Check({17, 500, 2, planes}, false);
}

TEST(BinaryGemmTest, EveryRowAndPanelCount) {
  for (const size_t rows : PanelEdges()) {
    Check({rows, 21, 3, 1}, false);
    Check({rows, 21, 13, 2}, false);
  }
}

// Two blocks of 64 rows, of tiles and of registers, and then some.
TEST(BinaryGemmTest, EveryBatchSize) {
  for (size_t batch = 0; batch <= 132; ++batch) {
    for (const int planes : {1, 2}) Check({35, 30, batch, planes}, false);
  }
}

TEST(BinaryGemmTest, ExtremeValuesStayInInt32) {
  Check({16, 65536, 1, 1}, true);
  Check({16, 65536, 1, 2}, true);
}

// More columns than the portable variant's tables hold at once.
TEST(BinaryGemmTest, ManyColumns) { Check({33, 5001, 13, 2}, false); }

}  // namespace
}  // namespace bitlm
