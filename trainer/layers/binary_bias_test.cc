// Biases of one bit and one scale ([ZT] section 3.1).

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <vector>

#include "trainer/layers/network.h"
#include "trainer/layers/network_testing.h"

namespace bitlm::trainer {
namespace {

double LossOf(DoubleNetwork& network, const Batch& batch) {
  network.Pack();
  auto state = SomeState(network);
  return network.LossAndGradient(batch, {}, kDropoutKey, kGradientScale, &state);
}

class BinaryBiasTest : public testing::TestWithParam<ModelConfig> {};

// The network computes as one with the bias alpha_b sign(b), and its gradient is that one's,
// G, through the estimator and through alpha_b: alpha_b G_j + sign(b_j) / 4H sum of G_k sign(b_k).
TEST_P(BinaryBiasTest, IsThatOfTheNetworkWithItsEffectiveBias) {
  ThreadPool pool(1);
  const DoubleBackend backend(&pool);
  NetworkShape shape = kShape;
  shape.binary_bias = true;
  DoubleNetwork binary(backend, GetParam(), shape);
  DoubleNetwork effective(backend, GetParam(), kShape);
  Randomize(binary, 0.4);
  Randomize(effective, 0.4);
  std::vector<double> alpha;
  for (size_t l = 0; l < binary.lstm().size(); ++l) {
    const auto& latent = binary.lstm()[l]->bias().value;
    double sum = 0;
    for (const double b : latent) sum += std::fabs(b);
    alpha.push_back(sum / static_cast<double>(latent.size()));
    for (size_t j = 0; j < latent.size(); ++j)
      effective.lstm()[l]->bias().value[j] = latent[j] > 0 ? alpha[l] : -alpha[l];
  }
  const Batch batch = SmallBatch(GetParam().vocabulary_size);
  EXPECT_NEAR(LossOf(binary, batch), LossOf(effective, batch), 1e-12);
  for (size_t l = 0; l < binary.lstm().size(); ++l) {
    const auto& latent = binary.lstm()[l]->bias().value;
    const auto& g = effective.lstm()[l]->bias().gradient;
    double along = 0;
    for (size_t j = 0; j < latent.size(); ++j) along += latent[j] > 0 ? g[j] : -g[j];
    const double shared = along / static_cast<double>(latent.size());
    for (size_t j = 0; j < latent.size(); ++j) {
      EXPECT_NEAR(binary.lstm()[l]->bias().gradient[j],
                  alpha[l] * g[j] + (latent[j] > 0 ? shared : -shared), 1e-12);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(ZhengTang, BinaryBiasTest,
                         testing::Values(SmallConfig("bw-lstm", 2), SmallConfig("xnor-lstm"),
                                         SmallConfig("xnor-lstm-bn")));

// Matrices whose scales are learned have float biases.
TEST(BinaryBiasOfRowsTest, IsLeftAloneWhereScalesAreOfRows) {
  ThreadPool pool(1);
  const DoubleBackend backend(&pool);
  NetworkShape shape = kShape;
  shape.binary_bias = true;
  DoubleNetwork network(backend, SmallConfig("bllm"), shape);
  Randomize(network, 0.4);
  network.Pack();
  const auto& bias = network.lstm()[0]->bias().value;
  for (size_t j = 0; j < bias.size(); ++j)
    EXPECT_EQ(network.lstm()[0]->effective_bias()[j], bias[j]);
}

}  // namespace
}  // namespace bitlm::trainer
