// Parameters from a trained model, also from a float one for a binary network.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/model/model.h"
#include "trainer/init/moments.h"
#include "trainer/layers/network.h"
#include "trainer/tensor/fast_backend.h"

namespace bitlm::trainer {

// How the binary matrices of a network are fitted to a model's float ones.
struct FitOptions {
  std::vector<int64_t> counts;            // [V]: how often each word occurs.
  const InputMoments* moments = nullptr;  // Of the model; null: every input counts alike.
  uint64_t seed = 1;
};

// From `model`, whose matrices are float or kept as they are. Where the network has a binary table
// and a linear layer instead of the model's float table, the two are fitted to it; other binary
// matrices are fitted row by row (sign_factors.h), the closest way for what follows them: W_x's
// products after an input table, this network's inputs before all others.
// Returns what was fitted and how well, for people; "" if nothing was.
// Errors: FAILED_PRECONDITION naming the option or size in which the two differ.
absl::StatusOr<std::string> InitializeFromModel(const Model& model, const FitOptions& options,
                                                ThreadPool* pool, Network<FastBackend>* network);

}  // namespace bitlm::trainer
