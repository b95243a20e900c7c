// The embedding of a trained float model as signs: LSTM-bin of [LCY18] section 4.4.
#pragma once

#include "absl/status/statusor.h"
#include "engine/model/model.h"

namespace bitlm::trainer {

// `model` with a binary input table: "For each dimension, we calculate the mean and set the value
// to 1 if it is bigger than the mean, otherwise, we set it to -1" ([LCY18] section 4.4). The paper
// looks at these signs alone, by their cosines. So that the model stays a model, the table gets the
// scale that brings it closest to the values less their means, the mean of their magnitudes
// (Rastegari et al. 2016), and the means go through the next layer into its bias. Golden sentences
// and perplexity, which only the engine can compute, are dropped.
// Errors: FAILED_PRECONDITION naming the option when the table is not float or is tied, or the next
// layer is not float.
absl::StatusOr<Model> BinarizeEmbedding(const Model& model);

}  // namespace bitlm::trainer
