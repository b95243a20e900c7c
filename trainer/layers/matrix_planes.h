// How a network trains its binary matrices: as signs times scales that are learned, or as planes
// whose scales are fitted (planes.h).
#pragma once

#include <utility>

#include "engine/model/model_config.h"
#include "trainer/layers/network_options.h"

namespace bitlm::trainer {

// Planes with fitted scales; 0 = scales are learned.
struct MatrixPlanes {
  int tables = 0;
  int recurrent = 0;
  int projections = 0;
};

inline MatrixPlanes MatrixPlanesOf(const ModelConfig& config, const NetworkShape& shape) {
  const auto fitted = [&](int planes) { return planes > 1 || shape.fitted_scales ? planes : 0; };
  return {.tables = fitted(config.bit_planes),
          .recurrent = fitted(config.RecurrentPlanes()),
          .projections = fitted(config.ProjectionPlanes())};
}

inline bool IsLearned(MatrixKind kind, int planes) {
  return kind == MatrixKind::kBinary && planes == 0;
}
inline bool IsFitted(MatrixKind kind, int planes) {
  return kind == MatrixKind::kBinary && planes > 0;
}

// Whether the model has binary matrices, and none whose scales are learned.
inline bool AllFitted(const ModelConfig& config, const NetworkShape& shape) {
  const MatrixPlanes planes = MatrixPlanesOf(config, shape);
  bool any = false;
  for (const auto& [kind, of_kind] : {std::pair(config.embedding, planes.tables),
                                      std::pair(config.output_embedding, planes.tables),
                                      std::pair(config.recurrent, planes.recurrent),
                                      std::pair(config.input_projection, planes.projections),
                                      std::pair(config.output_projection, planes.projections)}) {
    if (IsLearned(kind, of_kind)) return false;
    any = any || IsFitted(kind, of_kind);
  }
  return any;
}

}  // namespace bitlm::trainer
