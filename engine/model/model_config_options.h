// The one list of ModelConfig's options and their names: config.json, recipes and --set walk it.
#pragma once

#include "engine/model/model_config.h"

namespace bitlm {

// Calls `visit(name, field)` for every option, in the order of config.json. `Config` is ModelConfig
// or const ModelConfig; fields are std::string, int, bool, or one of the enumerations.
template <typename Config, typename Visitor>
void VisitConfigOptions(Config& config, Visitor visit) {
  visit("preset", config.preset);
  visit("embedding", config.embedding);
  visit("output_embedding", config.output_embedding);
  visit("input_projection", config.input_projection);
  visit("output_projection", config.output_projection);
  visit("recurrent", config.recurrent);
  visit("scale", config.scale);
  visit("activation", config.activation);
  visit("norm", config.norm);
  visit("bit_planes", config.bit_planes);
  visit("activation_planes", config.activation_planes);
  visit("output_bias", config.output_bias);
  visit("layers", config.layers);
  visit("hidden_size", config.hidden_size);
  visit("embedding_size", config.embedding_size);
  visit("vocabulary_size", config.vocabulary_size);
  visit("head", config.head);
  visit("classes", config.classes);
  visit("context", config.context);
  visit("self_normalized", config.self_normalized);
  visit("normalization", config.normalization);
}

}  // namespace bitlm
