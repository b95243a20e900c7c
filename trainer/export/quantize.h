// int8 recurrent matrices in the place of float ones, after training.
#pragma once

#include "absl/status/statusor.h"
#include "engine/model/model.h"

namespace bitlm::trainer {

// `model` with W_x and W_h of every LSTM layer as int8 values and a scale for each row: of 33
// scales from 0.68 to 1 times max|w| / 127, the one with the least squared error of the row. Golden
// sentences and perplexity, which only the engine can compute, are dropped. Errors:
// FAILED_PRECONDITION when the recurrent matrices are not float, or the engine could not serve the
// result, naming the option.
absl::StatusOr<Model> QuantizeRecurrent(const Model& model);

}  // namespace bitlm::trainer
