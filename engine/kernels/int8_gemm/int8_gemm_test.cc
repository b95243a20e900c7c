#include "engine/kernels/int8_gemm/int8_gemm.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <vector>

#include "engine/kernels/gemm_testing.h"
#include "engine/kernels/pack/pack.h"
#include "engine/kernels/panel.h"
#include "engine/kernels/testing.h"

namespace bitlm {

#if defined(__x86_64__)
namespace emulated_amx {
Int8GemmFn Int8Gemm;
}
#endif

namespace {

// All of the kernel's, and that of tile registers where there are none.
std::vector<Variant<Int8GemmFn>> Variants() {
  const auto known = Int8GemmVariants();
  std::vector<Variant<Int8GemmFn>> variants(known.begin(), known.end());
#if defined(__x86_64__)
  variants.push_back({"emulated_amx", cpu::kAvx512, &emulated_amx::Int8Gemm});
#endif
  return variants;
}

void Check(const GemmProblem& problem, bool extreme) {
  SCOPED_TRACE(testing::Message() << problem.rows << " x " << problem.columns << ", batch "
                                  << problem.batch << ", planes " << problem.planes);
  std::mt19937 random(static_cast<unsigned>(problem.rows * 31 + problem.columns + problem.batch));
  std::vector<int8_t> weights(problem.rows * problem.columns);
  for (int8_t& w : weights) w = extreme ? -127 : static_cast<int8_t>(random());
  GuardedArray<uint8_t> panels(Int8PanelBytes(problem.rows, problem.columns));
  PackInt8Panels(weights.data(), problem.rows, problem.columns, panels.data());
  ASSERT_TRUE(panels.GuardsHold());
  const GemmActivations activations(problem, extreme, random);
  CheckGemm<Int8GemmArgs>(Variants(), problem, activations, panels.data(),
                          [&](size_t r, size_t k) { return weights[r * problem.columns + k]; });
}

// Two tiles of 64 columns and then some.
TEST(Int8GemmTest, EveryColumnCount) {
  for (size_t columns = 1; columns <= 200; ++columns) {
    for (const int planes : {1, 2}) Check({17, columns, 2, planes}, false);
  }
  for (const int planes : {1, 2}) Check({17, 500, 2, planes}, false);
}

TEST(Int8GemmTest, EveryRowAndPanelCount) {
  for (const size_t rows : PanelEdges()) {
    Check({rows, 21, 3, 1}, false);
    Check({rows, 21, 13, 2}, false);
  }
}

// Two blocks of 64 rows, of tiles and of registers, and then some.
TEST(Int8GemmTest, EveryBatchSize) {
  for (size_t batch = 0; batch <= 132; ++batch) {
    for (const int planes : {1, 2}) Check({35, 30, batch, planes}, false);
  }
}

// Largest magnitudes: a hundred thousand products of one plane, a thousand of two, stay in int32.
TEST(Int8GemmTest, ExtremeValuesStayInInt32) {
  Check({16, 65536, 1, 1}, true);
  Check({16, 1000, 13, 2}, true);
}

TEST(Int8GemmTest, ManyColumns) { Check({33, 5001, 13, 1}, false); }

}  // namespace
}  // namespace bitlm
