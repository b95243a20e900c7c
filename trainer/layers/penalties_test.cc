// What is trained on besides the cross entropy: activation_regularization.h.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <vector>

#include "trainer/layers/network_testing.h"

namespace bitlm::trainer {
namespace {

// Of objective(), which has to leave its gradients in the network, for every continuous parameter.
// Returns how many gradients are not 0.
int ExpectFiniteDifferences(DoubleNetwork& network, const std::function<double()>& objective) {
  int nonzero = 0;
  for (auto* p : network.Parameters()) {
    if (p->binary()) continue;
    network.embedding().ClearGradient();
    objective();
    const std::vector<double> gradient(p->gradient.begin(), p->gradient.end());
    for (size_t i = 0; i<p->value.size(); i += p->value.size()> 2000 ? 53 : 1) {
      constexpr double kStep = 1e-5;
      const double value = p->value[i];
      p->value[i] = value + kStep;
      const double above = objective();
      p->value[i] = value - kStep;
      const double below = objective();
      p->value[i] = value;
      EXPECT_NEAR(gradient[i], (above - below) / (2 * kStep), 3e-8) << p->name << "[" << i << "]";
      nonzero += gradient[i] != 0;
    }
  }
  return nonzero;
}

double RegularizedObjective(DoubleNetwork& network, const Batch& batch,
                            const DropoutRates& dropout) {
  network.Pack(dropout, kDropoutKey);
  auto state = SomeState(network);
  const double loss = network.LossAndGradient(batch, dropout, kDropoutKey, kGradientScale, &state);
  return kGradientScale * (loss + network.regularization_loss());
}

TEST(ActivationRegularizationTest, GradientsAreFiniteDifferences) {
  ThreadPool pool(2);
  DoubleBackend backend(&pool);
  const Batch batch = SmallBatch(11);
  for (const ModelConfig& config :
       {SmallConfig("lstm", 2), SmallConfig("belm"), SmallConfig("bllm"),
        TiedConfig(MatrixKind::kFloat, MatrixKind::kFloat, MatrixKind::kFloat)}) {
    for (const ActivationRegularization& weights :
         {ActivationRegularization{.activation = 40}, ActivationRegularization{.temporal = 30},
          ActivationRegularization{.activation = 5, .temporal = 7}}) {
      DoubleNetwork network(backend, config, kShape);
      network.set_penalties({.activations = weights});
      Randomize(network, 0.4);
      const DropoutRates dropout{.input = 0.1, .output = 0.4, .variational = true};
      EXPECT_GT(ExpectFiniteDifferences(
                    network, [&] { return RegularizedObjective(network, batch, dropout); }),
                40);
    }
  }
}

// The terms by their definition: scored positions, no pair across a reset or a segment.
TEST(ActivationRegularizationTest, TermsAreMeanSquaresOfScoredPositions) {
  ThreadPool pool(2);
  constexpr int64_t kHidden = 5, kStreams = 3, kSteps = 4;
  std::vector<double> h(kHidden * kStreams * kSteps), gradient(h.size());
  for (size_t i = 0; i < h.size(); ++i) h[i] = GaussianAt(3, i);
  std::vector<int32_t> targets(kStreams * kSteps, 1);
  std::vector<uint8_t> resets(kStreams * kSteps, 0);
  targets[11] = -1;
  resets[4] = resets[0] = 1;
  const RegularizedRows rows{
      .streams = kStreams, .hidden = kHidden, .targets = targets, .resets = resets};
  double squares = 0, differences = 0;
  for (size_t t = 0; t < kSteps; ++t) {
    for (size_t b = 0; b < kStreams; ++b) {
      const size_t r = t * kStreams + b;
      if (r == 11) continue;
      for (size_t j = 0; j < kHidden; ++j) {
        const double now = h[r * kHidden + j];
        squares += now * now / kHidden;
        if (t > 0 && r != 4) differences += std::pow(now - h[(r - kStreams) * kHidden + j], 2) / 5;
      }
    }
  }
  EXPECT_NEAR(AddActivationTerm(2, rows, h.data(), 1, gradient.data(), &pool), 2 * squares, 1e-12);
  EXPECT_NEAR(AddTemporalTerm(3, rows, h.data(), 1, gradient.data(), &pool), 3 * differences,
              1e-12);
  // Weight 0 does nothing, and the float twin agrees.
  std::vector<float> h_float(h.begin(), h.end()), gradient_float(h.size());
  EXPECT_EQ(AddTemporalTerm(0, rows, h_float.data(), 1, gradient_float.data(), &pool), 0);
  EXPECT_EQ(gradient_float, std::vector<float>(h.size()));
  EXPECT_NEAR(AddActivationTerm(2, rows, h_float.data(), 1, gradient_float.data(), &pool),
              2 * squares, 1e-5);
  EXPECT_NEAR(AddTemporalTerm(3, rows, h_float.data(), 1, gradient_float.data(), &pool),
              3 * differences, 1e-5);
  for (size_t i = 0; i < h.size(); ++i) ASSERT_NEAR(gradient_float[i], gradient[i], 1e-5) << i;
}

}  // namespace
}  // namespace bitlm::trainer
