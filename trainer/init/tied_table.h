// A binary table in place of a float one that serves input and output.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/base/thread_pool.h"
#include "engine/model/model.h"
#include "trainer/init/from_model.h"

namespace bitlm::trainer {

// Whether to start `to` from a model of `from` the table has to be factored first.
bool NeedsTiedTable(const ModelConfig& from, const ModelConfig& to);

struct TiedTable {
  // As the given one, but for a table of codes: a binary one, or for fitted scales (planes.h) a
  // float one.
  Model model;
  std::vector<float> latent;  // [V, K]: for SetLatentTable.
  double error = 0;           // As SignFactors.
};

struct TiedTableOptions {
  int planes = 0;  // Of fitted scales (planes.h); 0 = signs.
  int size = 0;    // E of the new table, which may be another; 0 = as the model's.
  // Nothing is fitted, only rotated, so that all columns are alike: the table stays T, M is
  // orthogonal, and E stays. For fitted scales that soft planes lead to.
  bool exact = false;
};

// T ~ B M, T the float tied table of `model` [V, E] and B signs [V, K] (sign_factors.h). M [K, E]
// goes into both uses of the table: with x = M^T b the input side computes W_x x = (W_x M^T) b, and
// the logits are T (P h + p) ~ B (M P h + M p). So the model is what it was, but for T - B M: of
// that, what falls on the mean of z = P h + p goes into the output's bias where there is one. A
// model without an output projection gets one.
//
// The fit counts a difference d of a row by what it does to logits and to gates: d C d^T, C the sum
// of the moments of z (`options.moments`, if there) and of W_x^T W_x, each relative to what the
// table itself has there. Words weigh by their counts.
// Errors: INVALID_ARGUMENT when options.counts are not those of its words.
absl::StatusOr<TiedTable> FactorTiedTable(const Model& model, const FitOptions& options,
                                          const TiedTableOptions& tied, ThreadPool* pool);

}  // namespace bitlm::trainer
