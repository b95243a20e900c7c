// The perplexity of a text file, for every command that prints one.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "engine/base/thread_pool.h"
#include "engine/nn/language_model.h"
#include "engine/scoring/perplexity.h"

namespace bitlm::trainer {

struct EvaluationText {
  std::string path;
  std::string contents;
};

// Reads a text, one sentence a line; .gz is decompressed. Errors: those of ReadTextFile;
// INVALID_ARGUMENT for an empty file, whose perplexity is no number.
absl::StatusOr<EvaluationText> ReadEvaluationText(const std::string& path);

// EvaluateText, with messages that name the file.
absl::StatusOr<PerplexityResult> Evaluate(const LanguageModel& model, const EvaluationText& text,
                                          ContextKind context, ThreadPool* pool);

}  // namespace bitlm::trainer
