// Publishing: from a model in memory to a proven model directory.
#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "engine/base/thread_pool.h"
#include "engine/model/model.h"
#include "engine/nn/language_model.h"

namespace bitlm::trainer {

// What the serving engine finds on a text.
struct TextScore {
  double perplexity = 0;           // Of the words; of a classifier, of the labels.
  std::optional<double> accuracy;  // Of a classifier.

  std::string Description(ContextKind protocol) const;  // "sentence perplexity 95.6659".
};

// Of the text file `path`, labelled (labelled_text.h) if the model is a classifier, in the protocol
// of the model's context. Errors: as EvaluateText and EvaluateClassifier, naming the file.
absl::StatusOr<TextScore> ScoreText(const LanguageModel& model, const std::string& path,
                                    ThreadPool* pool);

// Writes `model` to <repository>/<name>/1, complete with what only the serving engine can say, from
// the written file itself: the score of the text `valid` (a path), and golden sentences, made of
// random words of the vocabulary. An older model there is replaced once the new one has been loaded
// and proven, by an exchange of names: whoever looks finds the old one or the new one, whole.
// Returns the score.
absl::StatusOr<TextScore> PublishModel(Model model, const std::string& repository,
                                       const std::string& valid, ThreadPool* pool);

}  // namespace bitlm::trainer
