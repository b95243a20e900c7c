#include "engine/kernels/lstm_cell/lstm_cell.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "engine/kernels/testing.h"

namespace bitlm {
namespace {

constexpr size_t kBatch = 3;

struct Cell {
  explicit Cell(size_t hidden)
      : gates(kBatch * (4 * hidden + 3)),
        previous(kBatch * hidden),
        h(kBatch * hidden),
        c(kBatch * hidden) {}
  // Row 1 starts from zeros.
  void Run(const Variant<LstmCellFn>& variant, size_t hidden, bool in_place) {
    std::vector<const float*> from;
    std::vector<float*> h_rows, c_rows;
    for (size_t b = 0; b < kBatch; ++b) {
      from.push_back(b == 1 ? nullptr : previous.data() + b * hidden);
      h_rows.push_back(h.data() + b * hidden);
      c_rows.push_back((in_place ? previous : c).data() + b * hidden);
    }
    variant.run({.gates = gates.data(),
                 .gates_stride = 4 * hidden + 3,
                 .hidden = hidden,
                 .batch = kBatch,
                 .c_previous = from.data(),
                 .h = h_rows.data(),
                 .c = c_rows.data()});
  }
  GuardedArray<float> gates, previous, h, c;
};

void Fill(GuardedArray<float>* values, float range, unsigned seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(-range, range);
  for (size_t i = 0; i < values->size(); ++i) (*values)[i] = uniform(random);
}

double Sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

TEST(LstmCellTest, ComputesEquationThree) {
  for (const size_t hidden : Lengths()) {
    Cell cell(hidden);
    Fill(&cell.gates, 9, 1);
    Fill(&cell.previous, 3, 2);
    for (const Variant<LstmCellFn>& variant : LstmCellVariants()) {
      if (!CanRun(variant)) continue;
      cell.Run(variant, hidden, false);
      ASSERT_TRUE(cell.h.GuardsHold() && cell.c.GuardsHold()) << variant.name;
      for (size_t b = 0; b < kBatch; ++b) {
        const float* gates = cell.gates.data() + b * (4 * hidden + 3);
        for (size_t j = 0; j < hidden; ++j) {
          const double old = b == 1 ? 0 : cell.previous[b * hidden + j];
          const double c = Sigmoid(gates[hidden + j]) * old +
                           Sigmoid(gates[j]) * std::tanh(double{gates[2 * hidden + j]});
          const double h = Sigmoid(gates[3 * hidden + j]) * std::tanh(c);
          // Three elementary functions of relative error 2^-21 and four roundings, on terms of at
          // most 3 and 1; tanh passes c's error on with slope 1.
          ASSERT_NEAR(cell.c[b * hidden + j], c, 4 * 0x1p-20) << variant.name;
          ASSERT_NEAR(cell.h[b * hidden + j], h, 6 * 0x1p-20) << variant.name;
        }
      }
    }
  }
}

TEST(LstmCellTest, VariantsAreEqualEverywhereAlsoInPlace) {
  for (const size_t hidden : Lengths()) {
    for (const float range : {1.0f, 200.0f}) {  // The larger one saturates the gates.
      Cell expected(hidden);
      Fill(&expected.gates, range, 3);
      Fill(&expected.previous, range / 10, 4);
      expected.gates[0] = NAN;
      expected.gates[4 * hidden - 1] = INFINITY;
      expected.Run(LstmCellVariants().back(), hidden, false);
      for (const Variant<LstmCellFn>& variant : LstmCellVariants()) {
        if (!CanRun(variant)) continue;
        for (const bool in_place : {false, true}) {
          Cell cell(hidden);
          for (size_t i = 0; i < cell.gates.size(); ++i) cell.gates[i] = expected.gates[i];
          for (size_t i = 0; i < cell.previous.size(); ++i) {
            cell.previous[i] = expected.previous[i];
          }
          cell.Run(variant, hidden, in_place);
          ASSERT_EQ(Bits(cell.h.values()), Bits(expected.h.values())) << variant.name;
          ASSERT_EQ(Bits((in_place ? cell.previous : cell.c).values()), Bits(expected.c.values()))
              << variant.name;
        }
      }
    }
  }
}

}  // namespace
}  // namespace bitlm
