// What the tests of products with int8 activations share: binary_gemm and int8_gemm.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <random>
#include <span>
#include <vector>

#include "engine/kernels/panel.h"
#include "engine/kernels/testing.h"

namespace bitlm {

struct GemmProblem {
  size_t rows;
  size_t columns;
  size_t batch;
  int planes;
};

// Random activations, or those of the largest magnitude.
struct GemmActivations {
  GemmActivations(const GemmProblem& problem, bool extreme, std::mt19937& random)
      : stride(RoundUp(problem.columns, 4) + 4),  // Not a multiple of a vector.
        q(problem.batch * static_cast<size_t>(problem.planes) * stride),
        totals(problem.batch),
        values(problem.batch, std::vector<int32_t>(problem.columns)) {
    const size_t planes = static_cast<size_t>(problem.planes);
    for (size_t b = 0; b < problem.batch; ++b) {
      int8_t* row = q.data() + b * planes * stride;
      std::memset(row, 0, planes * stride);
      for (size_t k = 0; k < problem.columns; ++k) {
        const int high = extreme ? -127 : static_cast<int>(random() % 255) - 127;
        const int low = extreme ? 0 : static_cast<int>(random() % 128) - 64;
        row[k] = static_cast<int8_t>(high);
        if (problem.planes == 2) row[stride + k] = static_cast<int8_t>(low);
        values[b][k] = problem.planes == 2 ? 128 * high + low : high;
        totals[b] += values[b][k];
      }
    }
  }

  size_t stride;
  GuardedArray<int8_t> q;
  std::vector<int32_t> totals;
  std::vector<std::vector<int32_t>> values;  // [batch][columns].
};

// Runs every variant on `panels` and compares with sums over weight(row, column).
template <typename Args, typename Panel, typename Weight>
void CheckGemm(std::span<const Variant<void(const Args&)>> variants, const GemmProblem& problem,
               const GemmActivations& activations, const Panel* panels, const Weight& weight) {
  const size_t padded = RoundUp(problem.rows, kPanelRows);
  std::vector<int32_t> expected(problem.batch * problem.rows);
  for (size_t b = 0; b < problem.batch; ++b) {
    for (size_t r = 0; r < problem.rows; ++r) {
      int64_t sum = 0;
      for (size_t k = 0; k < problem.columns; ++k) {
        sum += int64_t{weight(r, k)} * activations.values[b][k];
      }
      expected[b * problem.rows + r] = static_cast<int32_t>(sum);
    }
  }
  for (const Variant<void(const Args&)>& variant : variants) {
    if (!CanRun(variant)) continue;
    const size_t stride = padded + 3;
    GuardedArray<int32_t> sums(problem.batch * stride);
    variant.run({.panels = panels,
                 .row_panels = padded / kPanelRows,
                 .groups = CeilDiv(problem.columns, kGroupColumns),
                 .q = activations.q.data(),
                 .q_stride = activations.stride,
                 .planes = problem.planes,
                 .totals = activations.totals.data(),
                 .batch = problem.batch,
                 .sums = sums.data(),
                 .sums_stride = stride});
    ASSERT_TRUE(sums.GuardsHold()) << variant.name;
    for (size_t b = 0; b < problem.batch; ++b) {
      for (size_t r = 0; r < problem.rows; ++r) {
        ASSERT_EQ(sums[b * stride + r], expected[b * problem.rows + r])
            << variant.name << " row " << r << " of " << b;
      }
      for (size_t r = padded; r < stride; ++r) {
        ASSERT_EQ(static_cast<uint32_t>(sums[b * stride + r]), 0xA5A5A5A5u) << variant.name;
      }
    }
  }
}

}  // namespace bitlm
