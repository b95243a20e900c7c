// Factors a float table into a binary one and a matrix by coordinate descent, so that the table and
// a linear layer are close to what they replace.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/base/thread_pool.h"
#include "trainer/layers/planes.h"

namespace bitlm::trainer {

struct FactorOptions {
  // Above 1: B is not signs, but sums of planes with the scales that are best for Gaussian values.
  // M is float then.
  int planes = 1;
  bool binary = false;  // M is signs times a scale, too; else float.
  // Which index of M its scale goes with, if it is binary: of its columns (the layer after an input
  // table: M = S diag(scale)), or of its rows (the layer before an output table: M = diag(scale)
  // S).
  bool scale_rows = false;
  // C [E, E]: differences d of a row count as d C d^T. Empty: as d d^T.
  std::span<const float> metric = {};
  int rounds = 10;    // Of signs given M, and M given signs.
  uint64_t seed = 1;  // Of the rotation that the signs start from.
};

struct SignFactors {
  // [V, K]: signs of B, times how much worse a flipped sign would make the fit of its row, relative
  // to the table's mean; 0 = as good.
  // Of several planes: latent values near those of B, see FitPlanesRow.
  std::vector<float> margins;
  PlaneLevels<float> levels;  // Of B.
  std::vector<float> m;       // [K, E]: M, or its signs times margins as above.
  std::vector<float> scale;   // [E], or [K] with scale_rows, of a binary M; else empty.
  double error = 0;           // Of the fit, by the metric, relative to the table; rows weighted.
};

// T ~ B M with B in {-1, +1}: `table` [V, E] row-major, `weights` [V] > 0 of its rows in the fit of
// M. K = `size`.
SignFactors FactorIntoSigns(std::span<const float> table, std::span<const float> weights,
                            int64_t size, const FactorOptions& options, ThreadPool* pool);

}  // namespace bitlm::trainer
