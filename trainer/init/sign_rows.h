// Fits binary rows to those of a float layer by coordinate descent, close in what the layer
// computes.
#pragma once

#include <span>
#include <vector>

namespace bitlm::trainer {

// A row of values as signs times one scale.
struct SignRow {
  std::vector<float> margins;  // The signs, times the cost of a flip relative to the row's mean.
  float scale = 0;             // Above 0.
};

// The row w of a layer, fitted by scale * s, s in {-1, +1}^n, to what it computes: minimizes
// (w - scale s) C (w - scale s)^T, `moments` C [n, n] the mean of u^T u over the inputs u.
SignRow FitSignRow(std::span<const float> values, std::span<const float> moments);

// The same with planes (planes.h): the row becomes latent values near those of the planes, from
// which a fit without moments brings them back.
std::vector<float> FitPlanesRow(std::span<const float> values, std::span<const float> moments,
                                int planes);

}  // namespace bitlm::trainer
