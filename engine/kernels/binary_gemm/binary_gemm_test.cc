#include "engine/kernels/binary_gemm/binary_gemm.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "engine/base/aligned_buffer.h"
#include "engine/kernels/gemm_testing.h"
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

void Check(const GemmProblem& problem, bool extreme) {
  SCOPED_TRACE(testing::Message() << problem.rows << " x " << problem.columns << ", batch "
                                  << problem.batch << ", planes " << problem.planes);
  std::mt19937 random(static_cast<unsigned>(problem.rows * 31 + problem.columns + problem.batch));
  const size_t row_bytes = CeilDiv(problem.columns, 8);
  std::vector<uint8_t> packed(problem.rows * row_bytes);
  for (uint8_t& byte : packed) byte = extreme ? 0xff : static_cast<uint8_t>(random());
  GuardedArray<uint64_t> panels(BinaryPanelWords(problem.rows, problem.columns));
  PackBinaryPanels(packed.data(), problem.rows, problem.columns, panels.data());
  ASSERT_TRUE(panels.GuardsHold());
  const GemmActivations activations(problem, extreme, random);
  CheckGemm<BinaryGemmArgs>(Variants(), problem, activations, panels.data(),
                            [&](size_t r, size_t k) {
                              return ((packed[r * row_bytes + k / 8] >> (k % 8)) & 1) != 0 ? 1 : -1;
                            });
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

// Batches large enough for look-ups in registers, with columns that fill a range of int16 sums, and
// one or two more; activations that would overflow in a longer one.
TEST(BinaryGemmTest, SumsOfShortsDoNotOverflow) {
  for (const size_t columns : {255, 256, 257, 261, 500, 511, 512, 513, 1024, 1100}) {
    for (const int planes : {1, 2}) {
      for (const bool extreme : {false, true}) Check({49, columns, 7, planes}, extreme);
    }
  }
}

TEST(BinaryGemmTest, EveryColumnCountOfALargeBatch) {
  for (size_t columns = 1; columns <= 70; ++columns) {
    for (const int planes : {1, 2}) Check({33, columns, 11, planes}, false);
  }
}

// Tables that are made once, for several products.
TEST(BinaryGemmTest, TablesOfTheVariant) {
  for (const Variant<BinaryGemmFn>& variant : BinaryGemmVariants()) {
    BinaryTablesFn* const make = BinaryTablesOf(variant.run);
    if (make == nullptr || !CanRun(variant)) continue;
    for (const size_t columns : {3, 30, 500, 700}) {
      for (const int planes : {1, 2}) {
        const GemmProblem problem{80, columns, 70, planes};
        std::mt19937 random(static_cast<unsigned>(columns));
        const GemmActivations activations(problem, false, random);
        const size_t groups = CeilDiv(columns, kGroupColumns);
        std::vector<uint64_t> panels(problem.rows / kPanelRows * groups);
        for (uint64_t& word : panels) word = (uint64_t{random()} << 32) | random();
        AlignedBuffer<std::byte> tables(problem.batch * BinaryTablesBytes(groups, planes));
        make({.q = activations.q.data(),
              .q_stride = activations.stride,
              .planes = planes,
              .groups = groups,
              .batch = problem.batch,
              .tables = tables.data()});
        const auto sums = [&](const std::byte* with) {
          std::vector<int32_t> all(problem.batch * problem.rows, -1);
          variant.run({.panels = panels.data(),
                       .row_panels = problem.rows / kPanelRows,
                       .groups = groups,
                       .q = activations.q.data(),
                       .q_stride = activations.stride,
                       .planes = planes,
                       .totals = activations.totals.data(),
                       .batch = problem.batch,
                       .tables = with,
                       .sums = all.data(),
                       .sums_stride = problem.rows});
          return all;
        };
        EXPECT_EQ(sums(tables.data()), sums(nullptr)) << columns << " columns";
      }
    }
  }
}

}  // namespace
}  // namespace bitlm
