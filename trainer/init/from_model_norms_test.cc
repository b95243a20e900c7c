// Starts of binary-weight and XNOR LSTMs and of norms.

#include <algorithm>

#include "trainer/data/corpus.h"
#include "trainer/data/stream_batcher.h"
#include "trainer/init/from_model_testing.h"

namespace bitlm::trainer::from_model {
namespace {

// [ZT] section 4.2: the float LSTM becomes a binary one with alpha = mean |W|; biases stay.
TEST_F(FromModelTest, BinaryWeightLstmTakesMatricesAndBiases) {
  auto lstm = MakeNetwork("lstm", 1);
  auto& from = *lstm->lstm()[0];
  from.weight_x().parameter.value[5] = 1.5;  // Latent values stop at 1.
  auto network = MakeNetwork("bw-lstm", 2);
  ASSERT_TRUE(Initialize(Export(*lstm), network.get()).ok());
  auto& to = *network->lstm()[0];
  double sum = 0;
  for (size_t i = 0; i < to.weight_h().parameter.value.size(); ++i) {
    ASSERT_EQ(to.weight_h().parameter.value[i], from.weight_h().parameter.value[i]);
    sum += std::fabs(from.weight_h().parameter.value[i]);
  }
  EXPECT_EQ(to.weight_x().parameter.value[5], 1);
  EXPECT_EQ(to.weight_x().parameter.value[6], from.weight_x().parameter.value[6]);
  for (size_t i = 0; i < 4 * kHidden; ++i) EXPECT_EQ(to.bias().value[i], from.bias().value[i]);
  const Model exported = Export(*network);
  EXPECT_NEAR(exported.tensors.at("lstm.0.scale_h").f32()[0], sum / (4.0 * kHidden * kHidden),
              1e-6);
}

// Sign activations: the matrices take the magnitude that the inputs lose.
TEST_F(FromModelTest, XnorLstmTakesTheMagnitudesOfInputs) {
  auto lstm = MakeNetwork("lstm", 1);
  InputMoments moments;
  moments.lstm.emplace_back(4 * kHidden * kHidden);
  moments.lstm_mean.emplace_back(2 * kHidden);
  for (size_t i = 0; i < 2 * kHidden; ++i) {
    moments.lstm[0][i * 2 * kHidden + i] = i < kHidden ? 0.25f : 0.04f;
  }
  auto network = MakeNetwork("xnor-lstm", 2);
  ASSERT_TRUE(
      InitializeFromModel(Export(*lstm), {.moments = &moments}, &pool_, network.get()).ok());
  const double normal = std::sqrt(2 / 3.14159265358979);  // E |u| of a standard normal u.
  for (size_t i = 0; i < 50; ++i) {
    const auto value = [&](auto& layer, bool x) {
      return (x ? layer.weight_x() : layer.weight_h()).parameter.value[i];
    };
    EXPECT_NEAR(value(*network->lstm()[0], true), 0.5 * normal * value(*lstm->lstm()[0], true),
                1e-6);
    EXPECT_NEAR(value(*network->lstm()[0], false), 0.2 * normal * value(*lstm->lstm()[0], false),
                1e-6);
  }
}

// With its inputs known a batch norm comes back relative to its own statistics: evaluation computes
// what the model did, and training what evaluation does, nearly.
TEST_F(FromModelTest, BatchNormsCanBeTrainedOnFromAModel) {
  std::vector<std::vector<std::string>> sentences(40);
  for (uint64_t s = 0; s < 40; ++s) {
    for (uint64_t w = 0; w < 7; ++w) {
      sentences[s].push_back("w" + std::to_string(2 + Mix64(100 * s + w) % 20));
    }
  }
  constexpr NetworkShape kWide{.streams = 32, .steps = 10};  // All of it in one segment.
  const TokenizedCorpus corpus = TokenizeCorpus(sentences, SomeWords());
  StreamBatcher batcher(corpus, ContextKind::kDocument, kWide.streams, kWide.steps, 1,
                        /*shuffle=*/false, SomeWords().end_of_sentence_id());
  Batch batch;
  batcher.Fill(0, &batch);
  ASSERT_EQ(batcher.segments(), 1);
  const auto make = [&](const std::string& name, uint64_t seed) {
    auto network = std::make_unique<Network<FastBackend>>(backend_, SmallConfig(name), kWide);
    InitializeAtRandom({.forget_bias = 0.5}, seed, network.get());
    return network;
  };
  const auto losses = [&](Network<FastBackend>& network) {
    network.Pack();
    auto state = network.ZeroState();
    const double evaluated = network.Loss(batch, &state);
    state = network.ZeroState();
    const double trained = network.LossAndGradient(batch, {}, 1, 1, &state);
    return std::pair(evaluated, trained);
  };
  for (const auto& [from, to] :
       {std::pair("xnor-lstm-bn", "xnor-lstm-bn"), std::pair("lstm", "lstm+batch")}) {
    SCOPED_TRACE(from);
    auto source = make(from, 1);
    RandomizeNorms(*source);
    for (float& x : source->embedding().table().value) x *= 4;
    for (float& x : source->output().table().value) x *= 6;
    source->Pack();
    const InputMoments moments = MeasureMoments(batcher, 1, &pool_, source.get());
    auto state = source->ZeroState();
    const double loss = source->Loss(batch, &state);
    auto network = make(to, 2);
    ASSERT_GT(std::fabs(losses(*network).first - loss), 0.02 * loss);
    ASSERT_TRUE(
        InitializeFromModel(Export(*source), {.moments = &moments}, &pool_, network.get()).ok());
    const auto [evaluated, trained] = losses(*network);
    EXPECT_NEAR(evaluated, loss, 1e-4 * loss);
    EXPECT_NEAR(trained, loss, 0.02 * loss);
  }
}

}  // namespace
}  // namespace bitlm::trainer::from_model
