// Publishing: from a model in memory to a proven model directory.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "engine/base/thread_pool.h"
#include "engine/model/model.h"

namespace bitlm::trainer {

// Writes `model` to <repository>/<name>/1, complete with what only the serving engine can say, from
// the written file itself: the perplexity of the text `valid` (a path) in the protocol of the
// model's context, and golden sentences, made of random words of the vocabulary. An older model
// there is replaced once the new one has been loaded and proven, by an exchange of names: whoever
// looks finds the old one or the new one, whole. Returns the perplexity.
absl::StatusOr<double> PublishModel(Model model, const std::string& repository,
                                    const std::string& valid, ThreadPool* pool);

}  // namespace bitlm::trainer
