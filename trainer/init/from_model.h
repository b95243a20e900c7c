// Parameters from a trained model, also from a float one for a binary network.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
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
  std::vector<int64_t> counts = {};  // [V]: how often each word occurs; for tables that are fitted.
  double count_power = 0.5;          // A word weighs (1 + its count)^count_power there.
  const InputMoments* moments = nullptr;  // Of the model; null: every input counts alike.
  uint64_t seed = 1;
  // The network is not for training: its output table may keep a scale of its own.
  bool untrained = false;
};

// [V] What the words weigh.
std::vector<float> WordWeights(const FitOptions& options);

// The latent values of a binary input table [V, E], tied or not: from its signs times margins of
// mean magnitude 1, or of a table with fitted scales as they are.
void SetLatentTable(std::span<const float> latent, Network<FastBackend>* network);

// From `model`, whose options the trainer knows (CheckTrainable), and whose matrices are float or
// stay as they are. Where the network has a binary table and a linear layer instead of the model's
// float table, the two are fitted to it; a binary matrix in place of a float one is fitted row by
// row, to its products with the model's inputs (sign_factors.h), or with a scale per matrix takes
// the float one's values as latent ones ([ZT] section 4.2). For sign activations these are
// multiplied with the mean magnitude of the inputs; for a batch norm see norm_from_model.h. A float
// table that is tied serves as both tables of a network that has two. Returns
// which tables were fitted and how well, for people; "" if none was. Errors: FAILED_PRECONDITION
// naming option, sizes or tensor where the two do not fit.
absl::StatusOr<std::string> InitializeFromModel(const Model& model, const FitOptions& options,
                                                ThreadPool* pool, Network<FastBackend>* network);

// `model` as a packed network that is not for training, with this shape but for its samples.
absl::StatusOr<std::unique_ptr<Network<FastBackend>>> NetworkFromModel(const Model& model,
                                                                       NetworkShape shape,
                                                                       const FastBackend& backend);

}  // namespace bitlm::trainer
