// The model that a request names.
#pragma once

#include "server/registry/model_registry.h"

namespace bitlm {

// Of any request with the fields model, model_version and model_label; it outlives the result.
template <typename Request>
ModelSelector Selector(const Request& request) {
  return {request.model(), request.model_version(), request.model_label()};
}

}  // namespace bitlm
