// The one list of ModelConfig's options and their names: config.json, recipes and --set walk it.
#pragma once

#include <string_view>

#include "engine/model/model_config.h"

namespace bitlm {

// Whether config.json leaves the option out where it is 0: those that came after format version 1.
constexpr bool IsOptionalOption(std::string_view name) {
  return name == "recurrent_planes" || name == "projection_planes";
}

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
  visit("recurrent_planes", config.recurrent_planes);
  visit("projection_planes", config.projection_planes);
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
