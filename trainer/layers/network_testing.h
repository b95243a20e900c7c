// Small networks with random values for tests of layers.
#pragma once

#include <cstdint>
#include <string>

#include "trainer/layers/network.h"
#include "trainer/tensor/double_backend.h"

namespace bitlm::trainer {

using DoubleNetwork = Network<DoubleBackend>;

inline ModelConfig SmallConfig(const std::string& preset, int layers = 1, int embedding = 6) {
  ModelConfig config = PresetConfig(preset).value();
  config.hidden_size = 6;
  config.embedding_size = embedding;
  config.vocabulary_size = 11;
  config.layers = layers;
  return config;
}

// [V, E] tied, a bias per word, and E != H.
inline ModelConfig TiedConfig(MatrixKind table, MatrixKind projection, MatrixKind recurrent) {
  ModelConfig config = SmallConfig("lstm", 1, 5);
  config.preset = "custom";
  config.embedding = table;
  config.output_embedding = MatrixKind::kTied;
  config.output_projection = projection;
  config.recurrent = recurrent;
  config.output_bias = true;
  return config;
}

// Several planes to a binary matrix.
inline ModelConfig Planes(int planes, ModelConfig config) {
  config.bit_planes = planes;
  return config;
}

// The same of the tables, of recurrent matrices and of projections.
inline ModelConfig PlanesByMatrix(int tables, int recurrent, int projection, ModelConfig config) {
  config.bit_planes = tables;
  config.recurrent_planes = recurrent;
  config.projection_planes = projection;
  return config;
}

// A preset with a norm.
inline ModelConfig NormConfig(const std::string& preset, NormKind norm, int layers = 1) {
  ModelConfig config = SmallConfig(preset, layers);
  config.norm = norm;
  return config;
}

// Every linear layer and the LSTM with a scale per matrix.
inline ModelConfig PerMatrixConfig(ActivationKind activation) {
  ModelConfig config = SmallConfig("bllm");
  config.scale = ScaleKind::kPerMatrix;
  config.activation = activation;
  return config;
}

inline constexpr NetworkShape kShape{.streams = 3, .steps = 5};

// Inputs, targets with one that is not scored, and resets inside the segment.
inline Batch SmallBatch(int vocabulary) {
  Batch batch{
      .streams = kShape.streams, .steps = kShape.steps, .inputs = {}, .targets = {}, .resets = {}};
  for (uint64_t i = 0; i < 15; ++i) {
    batch.inputs.push_back(static_cast<int32_t>(Mix64(i) % static_cast<uint64_t>(vocabulary)));
    batch.targets.push_back(
        static_cast<int32_t>(Mix64(100 + i) % static_cast<uint64_t>(vocabulary)));
    batch.resets.push_back(i == 7 || i == 9);
  }
  batch.targets[4] = -1;
  batch.scored = 14;
  return batch;
}

template <typename Net>
void Randomize(Net& network, double scale, uint64_t key = 1) {
  for (auto* p : network.Parameters()) {
    for (size_t i = 0; i < p->value.size(); ++i) {
      p->value[i] = static_cast<typename Net::Real>(scale * GaussianAt(key, i));
    }
    ++key;
  }
}

// Sign activations become the linear functions, about the last pass, whose gradients the
// straight-through estimator takes.
template <typename Net>
void LinearizeSigns(Net& network) {
  for (auto& sign : network.input_signs()) sign.Linearize();
  for (auto& layer : network.lstm()) {
    if (layer->h_sign() != nullptr) layer->h_sign()->Linearize();
  }
}

template <typename Net>
typename Net::State SomeState(const Net& network) {
  typename Net::State state = network.ZeroState();
  for (auto& layer : state) {
    for (size_t i = 0; i < layer.h.size(); ++i) {
      layer.h[i] = static_cast<typename Net::Real>(0.3 * GaussianAt(77, i));
      layer.c[i] = static_cast<typename Net::Real>(0.5 * GaussianAt(78, i));
    }
  }
  return state;
}

inline constexpr double kGradientScale = 0.37;
inline constexpr uint64_t kDropoutKey = 5;

}  // namespace bitlm::trainer
