// From a trained network to a model directory.
#pragma once

#include "absl/status/statusor.h"
#include "engine/model/model.h"
#include "trainer/layers/network.h"
#include "trainer/tensor/fast_backend.h"

namespace bitlm::trainer {

// The network's parameters as the tensors of its config: matrices transposed to [outputs, inputs],
// binary ones packed, and scale = alpha * exp(gamma). Without golden sentences, which only the
// engine can compute.
absl::StatusOr<Model> ExportModel(Network<FastBackend>& network, const Vocabulary& vocabulary,
                                  const ModelMetadata& metadata);

}  // namespace bitlm::trainer
