#include "engine/kernels/lstm_cell/lstm_cell.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "engine/kernels/dequantize/dequantize.h"
#include "engine/kernels/elementary/elementary.h"
#include "engine/kernels/layer_norm/layer_norm.h"
#include "engine/kernels/testing.h"

namespace bitlm {
namespace {

constexpr size_t kBatch = 3;

// The sums and scales of gates, and the gates that they make.
struct Sums {
  Sums(size_t hidden, bool shared_scales, unsigned seed)
      : stride(4 * hidden + 5),
        x(kBatch * stride),
        h(kBatch * stride),
        x_scales(kBatch),
        h_scales(kBatch),
        row_scales(4 * hidden),
        h_row_scales(4 * hidden),
        bias(4 * hidden),
        shared(shared_scales) {
    std::mt19937 random(seed);
    std::uniform_int_distribution<int32_t> integer(-60000, 60000);
    std::uniform_real_distribution<float> real(0.001f, 0.03f);
    for (GuardedArray<int32_t>* sums : {&x, &h}) {
      for (size_t i = 0; i < sums->size(); ++i) (*sums)[i] = integer(random);
    }
    for (GuardedArray<float>* floats : {&x_scales, &h_scales, &row_scales, &h_row_scales, &bias}) {
      for (size_t i = 0; i < floats->size(); ++i) (*floats)[i] = real(random);
    }
  }
  GateSums sums() const {
    return {.x_sums = x.data(),
            .h_sums = h.data(),
            .stride = stride,
            .x_scales = x_scales.data(),
            .h_scales = h_scales.data(),
            .row_scales = row_scales.data(),
            .h_row_scales = shared ? nullptr : h_row_scales.data(),
            .bias = bias.data()};
  }
  // By kernels/dequantize.
  void Gates(size_t hidden, GuardedArray<float>* gates) const {
    DequantizeArgs args{.x_sums = x.data(),
                        .x_scales = x_scales.data(),
                        .row_scales = row_scales.data(),
                        .bias = bias.data(),
                        .rows = 4 * hidden,
                        .sums_stride = stride,
                        .batch = kBatch,
                        .out = gates->data(),
                        .out_stride = 4 * hidden + 3};
    if (shared) {
      args.h_sums = h.data();
      args.h_scales = h_scales.data();
    }
    DequantizeVariants().back().run(args);
    if (shared) return;
    args.x_sums = h.data();
    args.x_scales = h_scales.data();
    args.row_scales = h_row_scales.data();
    args.accumulate = true;
    DequantizeVariants().back().run(args);
  }

  size_t stride;
  GuardedArray<int32_t> x, h;
  GuardedArray<float> x_scales, h_scales, row_scales, h_row_scales, bias;
  bool shared;
};

struct Cell {
  explicit Cell(size_t hidden)
      : gates(kBatch * (4 * hidden + 3)),
        previous(kBatch * hidden),
        h(kBatch * hidden),
        c(kBatch * hidden) {}
  // Row 1 starts from zeros.
  void Run(const Variant<LstmCellFn>& variant, size_t hidden, bool in_place,
           const Sums* sums = nullptr, const std::vector<float>* gain = nullptr) {
    std::vector<const float*> from;
    std::vector<float*> h_rows, c_rows;
    for (size_t b = 0; b < kBatch; ++b) {
      from.push_back(b == 1 ? nullptr : previous.data() + b * hidden);
      h_rows.push_back(h.data() + b * hidden);
      c_rows.push_back((in_place ? previous : c).data() + b * hidden);
    }
    variant.run({.gates = gates.data(),
                 .gates_stride = 4 * hidden + 3,
                 .sums = sums == nullptr ? GateSums{} : sums->sums(),
                 .hidden = hidden,
                 .batch = kBatch,
                 .c_gain = gain == nullptr ? nullptr : gain->data(),
                 .c_shift = gain == nullptr ? nullptr : gain->data() + hidden,
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

TEST(LstmCellTest, SumsAreAsGoodAsTheGatesThatTheyMake) {
  for (const size_t hidden : Lengths()) {
    for (const bool shared : {true, false}) {
      const Sums sums(hidden, shared, 5);
      Cell expected(hidden);
      Fill(&expected.previous, 2, 6);
      sums.Gates(hidden, &expected.gates);
      expected.Run(LstmCellVariants().back(), hidden, false);
      for (const Variant<LstmCellFn>& variant : LstmCellVariants()) {
        if (!CanRun(variant)) continue;
        Cell cell(hidden);
        Fill(&cell.previous, 2, 6);
        cell.Run(variant, hidden, false, &sums);
        ASSERT_EQ(Bits(cell.h.values()), Bits(expected.h.values())) << variant.name;
        ASSERT_EQ(Bits(cell.c.values()), Bits(expected.c.values())) << variant.name;
      }
    }
  }
}

// tanh of the layer norm of c, where kernels/layer_norm says what that is.
TEST(LstmCellTest, NormalizesTheCellState) {
  for (const size_t hidden : Lengths()) {
    std::vector<float> gain(2 * hidden);  // Then shifts.
    for (size_t j = 0; j < gain.size(); ++j) gain[j] = 0.5f + static_cast<float>(j % 5) / 4;
    Cell plain(hidden);
    Fill(&plain.gates, 4, 7);
    Fill(&plain.previous, 2, 8);
    plain.Run(LstmCellVariants().back(), hidden, false);
    std::vector<float> normal(kBatch * hidden);
    LayerNormVariants().back().run({.x = plain.c.data(),
                                    .x_stride = hidden,
                                    .columns = hidden,
                                    .batch = kBatch,
                                    .gain = gain.data(),
                                    .shift = gain.data() + hidden,
                                    .out = normal.data(),
                                    .out_stride = hidden});
    for (const Variant<LstmCellFn>& variant : LstmCellVariants()) {
      if (!CanRun(variant)) continue;
      for (const bool in_place : {false, true}) {
        Cell cell(hidden);
        Fill(&cell.gates, 4, 7);
        Fill(&cell.previous, 2, 8);
        cell.Run(variant, hidden, in_place, nullptr, &gain);
        ASSERT_TRUE(cell.h.GuardsHold() && cell.c.GuardsHold()) << variant.name;
        ASSERT_EQ(Bits((in_place ? cell.previous : cell.c).values()), Bits(plain.c.values()));
        for (size_t i = 0; i < kBatch * hidden; ++i) {
          const size_t b = i / hidden, j = i % hidden;
          const float o = elementary::Sigmoid(plain.gates[b * (4 * hidden + 3) + 3 * hidden + j]);
          ASSERT_EQ(cell.h[i], o * elementary::Tanh(normal[i])) << variant.name;
        }
      }
    }
  }
}

}  // namespace
}  // namespace bitlm
