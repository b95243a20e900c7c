// Small networks and models of them, for tests of starts from trained models.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "trainer/export/exporter.h"
#include "trainer/init/from_model.h"
#include "trainer/init/initialize.h"

namespace bitlm::trainer::from_model {

inline constexpr int kVocabulary = 120, kHidden = 24;
inline constexpr NetworkShape kShape{.streams = 8, .steps = 6};

// A preset, with "+norm" one with this norm.
inline ModelConfig SmallConfig(const std::string& name, int hidden = kHidden,
                               int embedding = kHidden, int layers = 1) {
  const size_t plus = name.find('+');
  ModelConfig config = PresetConfig(name.substr(0, plus)).value();
  if (plus != std::string::npos) {
    config.preset = "custom";
    EXPECT_TRUE(SetConfigOption("norm", name.substr(plus + 1), &config).ok());
  }
  config.hidden_size = hidden;
  config.embedding_size = embedding;
  config.layers = layers;
  config.vocabulary_size = kVocabulary;
  return config;
}

inline Vocabulary SomeWords() {
  std::vector<std::string> words{"<unk>", "</s>"};
  while (words.size() < kVocabulary) words.push_back("w" + std::to_string(words.size()));
  return Vocabulary::FromWords(words).value();
}

inline Batch SomeBatch() {
  Batch batch{
      .streams = kShape.streams, .steps = kShape.steps, .inputs = {}, .targets = {}, .resets = {}};
  for (uint64_t i = 0; i < 48; ++i) {
    batch.inputs.push_back(static_cast<int32_t>(Mix64(i) % kVocabulary));
    batch.targets.push_back(static_cast<int32_t>(Mix64(100 + i) % kVocabulary));
    batch.resets.push_back(i < 8);
  }
  batch.scored = 48;
  return batch;
}

// Gains, shifts and statistics that are not those of the start.
inline void RandomizeNorms(Network<FastBackend>& network) {
  uint64_t key = 500;
  for (auto& layer : network.lstm()) {
    if (layer->norm() == nullptr) continue;
    for (Parameter<float>* p : layer->norm()->Parameters()) {
      ++key;
      for (size_t i = 0; i < p->value.size(); ++i) {
        p->value[i] += 0.3f * static_cast<float>(GaussianAt(key, i));
      }
    }
    for (BatchNorm<float>* statistics : {layer->norm()->batch_x(), layer->norm()->batch_h()}) {
      if (statistics == nullptr) continue;
      std::vector<float> mean, variance;
      for (size_t i = 0; i < 4 * kHidden; ++i) {
        mean.push_back(static_cast<float>(0.2 * GaussianAt(key, 1000 + i)));
        variance.push_back(static_cast<float>(0.1 + UniformAt(key, 2000 + i)));
      }
      const size_t columns = layer->bias().value.size();
      mean.resize(columns);
      variance.resize(columns);
      statistics->SetRunning(mean, variance, 1000);
    }
  }
}

class FromModelTest : public testing::Test {
 protected:
  std::unique_ptr<Network<FastBackend>> MakeNetwork(const std::string& preset, uint64_t seed) {
    return MakeNetwork(SmallConfig(preset), seed);
  }
  std::unique_ptr<Network<FastBackend>> MakeNetwork(const ModelConfig& config, uint64_t seed) {
    auto network = std::make_unique<Network<FastBackend>>(backend_, config, kShape);
    InitializeAtRandom({.forget_bias = 0.5, .gamma_input = 0.7, .gamma_output = 1.2}, seed,
                       network.get());
    return network;
  }
  Model Export(Network<FastBackend>& network) {
    return *ExportModel(network, SomeWords(), ModelMetadata{});
  }
  double Loss(Network<FastBackend>& network) {
    network.Pack();
    auto state = network.ZeroState();
    return network.Loss(SomeBatch(), &state);
  }
  absl::StatusOr<std::string> Initialize(const Model& model, Network<FastBackend>* network) {
    return InitializeFromModel(model, {.counts = std::vector<int64_t>(kVocabulary, 3)}, &pool_,
                               network);
  }

  ThreadPool pool_{2};
  FastBackend backend_{Precision::kFloat32, &pool_};
};

}  // namespace bitlm::trainer::from_model
