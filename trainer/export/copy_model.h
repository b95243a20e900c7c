// A model to be changed: the start of what is made of a trained one.
#pragma once

#include "engine/model/model.h"

namespace bitlm::trainer {

// `model` without its golden sentences and perplexity, which only the engine can compute.
Model CopyModel(const Model& model);

}  // namespace bitlm::trainer
