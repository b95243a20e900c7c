// RandomModel: a valid model with random weights, for tests that need no trained one.
#pragma once

#include <cstdint>

#include "engine/model/model.h"

namespace bitlm {

// SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014):
// the same numbers on every machine and library.
class RandomBits {
 public:
  explicit RandomBits(uint64_t seed) : state_(seed) {}
  uint64_t Next();
  // In [0, bound); bound > 0. Biased by less than bound / 2^64.
  uint64_t Below(uint64_t bound) { return Next() % bound; }
  // Uniform in [low, high), 24 random bits.
  float Uniform(float low, float high);

 private:
  uint64_t state_;
};

// Random values of the right shape for every tensor that `config` needs: floats and biases in
// [-0.3, 0.3), scales and gains in [0.02, 0.1) (gains of layer norm in [0.5, 1.5)), int8 and packed
// bits uniform with padding bits 0. The vocabulary is "w0", "w1", …, with "<unk>" as id 1 and
// "</s>" last (V = 2: "<unk>", "</s>"). No golden sentences. Aborts when `config` is not valid.
Model RandomModel(const ModelConfig& config, uint64_t seed);

// The preset `preset` with small odd sizes: V words, E = embedding, H = hidden. Where the preset
// has no output projection, E must equal H. Aborts for an unknown preset.
ModelConfig TinyConfig(std::string_view preset, int vocabulary, int embedding, int hidden);

// A valid config that the engine refuses, because of its activation_planes.
ModelConfig UnservableConfig();

}  // namespace bitlm
