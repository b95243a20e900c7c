// What is trained on besides the cross entropy: activation_regularization.h, and
// OutputLayer::set_self_normalization.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "trainer/layers/finite_differences_testing.h"
#include "trainer/layers/network_testing.h"

namespace bitlm::trainer {
namespace {

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

// (log Z)^2, with the softmax of all words and of a sample, with teachers and without.
class SelfNormalizationSoftmaxTest : public testing::TestWithParam<int64_t> {};

TEST_P(SelfNormalizationSoftmaxTest, GradientsAreFiniteDifferences) {
  ThreadPool pool(2);
  DoubleBackend backend(&pool);
  constexpr double kPenalty = 0.3;
  for (const char* preset : {"lstm", "bllm"}) {
    for (const double temperature : {0.0, 1.0, 2.0}) {  // 0 = no teacher.
      SCOPED_TRACE(preset + std::to_string(temperature));
      ModelConfig config = SmallConfig(preset);
      config.output_bias = true;
      config.vocabulary_size = GetParam() > 0 ? 2 * 1024 + 30 : 11;
      NetworkShape shape = kShape;
      shape.softmax_samples = GetParam();
      DoubleNetwork teacher(backend, config, kShape);
      Randomize(teacher, 0.6, 100);
      teacher.Pack();
      config.self_normalized = true;
      DoubleNetwork network(backend, config, shape);
      network.set_penalties({.activations = {}, .self_normalization = kPenalty});
      Randomize(network, 0.4);
      // Positive and negative log Z; 1 + 2 weight log Z is below 0 for one of the two.
      for (double& b : network.output().bias()->value.span()) b -= GetParam() > 0 ? 10 : 4.5;
      const Batch batch = SmallBatch(config.vocabulary_size);
      const DropoutRates dropout{.output = 0.3};
      const auto objective = [&] {
        network.Pack(dropout, kDropoutKey);
        auto state = SomeState(network);
        auto teacher_state = SomeState(teacher);
        Distillation<double> from;
        if (temperature > 0) {
          from = {.teachers = {teacher.Teach(batch, &teacher_state)},
                  .weight = 0.6,
                  .temperature = temperature};
        }
        const double loss =
            network.LossAndGradient(batch, dropout, kDropoutKey, kGradientScale, &state, from);
        const double soft =
            temperature > 0 ? temperature * temperature * network.distillation_loss() : 0;
        return kGradientScale *
               ((1 - from.weight) * loss + from.weight * soft + kPenalty * network.log_z().squares);
      };
      EXPECT_GT(ExpectFiniteDifferences(network, objective, GetParam() > 0 ? 10 : 50), 15);
      EXPECT_LT(network.log_z().sum, -14);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Samples, SelfNormalizationSoftmaxTest, testing::Values(0, 1024));

// Only networks that say so are trained for it.
TEST(SelfNormalizationTest, IsOfSelfNormalizedNetworks) {
  ThreadPool pool(1);
  DoubleBackend backend(&pool);
  const Batch batch = SmallBatch(11);
  std::vector<double> gradient[3];
  for (const int run : {0, 1, 2}) {
    ModelConfig config = SmallConfig("lstm");
    config.self_normalized = run == 2;
    DoubleNetwork network(backend, config, kShape);
    if (run > 0) network.set_penalties({.activations = {}, .self_normalization = 1});
    Randomize(network, 0.4);
    network.Pack();
    auto state = SomeState(network);
    network.LossAndGradient(batch, {}, 0, 1, &state);
    gradient[run].assign(network.output().table().gradient.begin(),
                         network.output().table().gradient.end());
  }
  EXPECT_EQ(gradient[0], gradient[1]);
  EXPECT_NE(gradient[0], gradient[2]);
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
