#include "trainer/layers/activation_quantization.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "trainer/layers/network_testing.h"

namespace bitlm::trainer {
namespace {

// Rows of every kind, some with ties and one of zeros: the engine's integers times its scale.
TEST(ActivationQuantizationTest, RoundsAsTheEngineDoes) {
  ThreadPool pool(2);
  constexpr size_t kRows = 300, kColumns = 37;
  for (const int planes : {1, 2}) {
    for (const auto scale : {QuantizationScale::kHidden, QuantizationScale::kRowMaximum}) {
      const float limit = QuantizationLimit(planes);
      std::vector<float> x(kRows * kColumns);
      for (size_t i = 0; i < x.size(); ++i) x[i] = std::tanh(static_cast<float>(GaussianAt(1, i)));
      for (size_t c = 0; c < kColumns; ++c) {
        x[c] = 0;
        x[kColumns + c] = (static_cast<float>(c) + 0.5f) / limit;  // Ties, or close to them.
      }
      x[2 * kColumns] = 1;
      x[2 * kColumns + 1] = -1;
      std::vector<const float*> rows;
      for (size_t r = 0; r < kRows; ++r) rows.push_back(x.data() + r * kColumns);
      constexpr size_t kStride = 64;
      std::vector<int8_t> q(kRows * 2 * kStride);
      std::vector<float> scales(kRows);
      std::vector<int32_t> totals(kRows);
      QuantizeVariants().back().run({.rows = rows.data(),
                                     .batch = kRows,
                                     .columns = kColumns,
                                     .planes = planes,
                                     .scale = scale,
                                     .q = q.data(),
                                     .q_stride = kStride,
                                     .scales = scales.data(),
                                     .totals = totals.data()});
      std::vector<float> rounded = x;
      RoundActivations({.planes = planes, .scale = scale}, rounded.data(), kRows, kColumns, &pool);
      std::vector<double> in_double(x.begin(), x.end());
      RoundActivations({.planes = planes, .scale = scale}, in_double.data(), kRows, kColumns,
                       &pool);
      size_t others = 0;
      for (size_t r = 0; r < kRows; ++r) {
        const int8_t* row = q.data() + r * static_cast<size_t>(planes) * kStride;
        for (size_t c = 0; c < kColumns; ++c) {
          const int value = planes == 1 ? row[c] : 128 * row[c] + row[kStride + c];
          ASSERT_EQ(rounded[r * kColumns + c], scales[r] * static_cast<float>(value))
              << r << " " << c;
          const double error = std::fabs(in_double[r * kColumns + c] -
                                         static_cast<double>(rounded[r * kColumns + c]));
          ASSERT_LT(error, 1.001 * static_cast<double>(scales[r]) + 1e-30);
          others += error > 1e-6;
        }
      }
      // Only what float arithmetic puts on the other side of a tie, beside the row of ties.
      EXPECT_LT(others, kColumns + kRows * kColumns / 100);
    }
  }
}

double LossOf(DoubleNetwork* network, const Batch& batch) {
  const DropoutRates dropout{.input = 0.2, .output = 0.2, .projection = 0.1, .state = 0.2};
  network->Pack(dropout, kDropoutKey);
  network->embedding().ClearGradient();
  auto state = SomeState(*network);
  return network->LossAndGradient(batch, dropout, kDropoutKey, 1, &state);
}

// The rounding changes the loss a little, with two planes less, and not at all without binary
// matrices; gradients go through it and stay close to those without it.
TEST(ActivationQuantizationTest, GradientsPassStraightThrough) {
  ThreadPool pool(2);
  DoubleBackend backend(&pool);
  const Batch batch = SmallBatch(11);
  struct Case {
    const char* name;
    ModelConfig config;
    bool fitted = false;
  };
  const ModelConfig tied =
      TiedConfig(MatrixKind::kBinary, MatrixKind::kBinary, MatrixKind::kBinary);
  for (const Case& c : std::vector<Case>{{"lstm", SmallConfig("lstm", 2)},
                                         {"belm", SmallConfig("belm", 2)},
                                         {"bllm", SmallConfig("bllm", 2)},
                                         {"bllm, fitted", SmallConfig("bllm", 2), true},
                                         {"bllm-no-io, fitted", SmallConfig("bllm-no-io", 2), true},
                                         {"tied", tied},
                                         {"tied, two planes", Planes(2, tied)}}) {
    SCOPED_TRACE(c.name);
    ModelConfig config = c.config;
    NetworkShape shape = kShape;
    shape.fitted_scales = c.fitted;
    DoubleNetwork plain(backend, config, shape);
    Randomize(plain, 0.4);
    const double loss = LossOf(&plain, batch);
    double differences[3] = {};
    for (const int planes : {1, 2}) {
      config.activation_planes = planes;
      DoubleNetwork network(backend, config, shape);
      network.set_activation_quantization(true);
      Randomize(network, 0.4);
      differences[planes] = std::fabs(LossOf(&network, batch) - loss);
      const double tolerance = planes == 1 ? 0.1 : 1e-3;
      for (size_t p = 0; p < network.Parameters().size(); ++p) {
        const auto& gradient = network.Parameters()[p]->gradient;
        const auto& expected = plain.Parameters()[p]->gradient;
        double error = 0, norm = 0;
        for (size_t i = 0; i < gradient.size(); ++i) {
          error += std::pow(gradient[i] - expected[i], 2);
          norm += std::pow(expected[i], 2);
        }
        EXPECT_LE(std::sqrt(error), tolerance * std::sqrt(norm)) << network.Parameters()[p]->name;
        EXPECT_GT(norm, 0);
      }
    }
    if (config.preset == "lstm") {
      EXPECT_EQ(differences[1], 0);
      EXPECT_EQ(differences[2], 0);
    } else {
      EXPECT_GT(differences[1], 1e-6);
      EXPECT_LT(differences[2], 0.1 * differences[1]);
      EXPECT_LT(differences[1], 0.01 * loss);
    }
  }
}

}  // namespace
}  // namespace bitlm::trainer
