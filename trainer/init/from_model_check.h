// Which networks can start from which models.
#pragma once

#include "absl/status/status.h"
#include "engine/model/model_config.h"

namespace bitlm::trainer {

// Whether a network of shape `to` can start from a model of shape `from`. `fitted`: the scales of
// `to` are, so that a binary table can start from a float one's values. Errors:
// FAILED_PRECONDITION naming the option in which the two do not fit.
absl::Status CheckMatches(const ModelConfig& from, const ModelConfig& to, bool fitted);

}  // namespace bitlm::trainer
