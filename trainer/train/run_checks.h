// What a run refuses before it reads a text.
#pragma once

#include "absl/status/status.h"
#include "trainer/train/recipe.h"

namespace bitlm::trainer {

// INVALID_ARGUMENT naming the key of `recipe` that goes with no other, FAILED_PRECONDITION when its
// network cannot be trained whatever the words are.
absl::Status CheckRun(const Recipe& recipe);

}  // namespace bitlm::trainer
