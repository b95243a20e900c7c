// Perplexity of a text under both evaluation protocols, by the serving engine.
#pragma once

#include <cstdint>
#include <string_view>

#include "absl/status/statusor.h"
#include "engine/base/thread_pool.h"
#include "engine/nn/language_model.h"

namespace bitlm {

struct PerplexityResult {
  int64_t sentences = 0;
  int64_t tokens = 0;  // Scored, </s> included, OOV included.
  int64_t oov_tokens = 0;
  double logprob = 0;      // Nats, all tokens; sentence sums added in the text's order.
  double oov_logprob = 0;  // The part of OOV tokens.
  // exp(-logprob / tokens), and the same over the tokens that are not OOV.
  double perplexity = 0;
  double perplexity_excluding_oov = 0;
  // Mean over the tokens of |log Z|, nats: by how much the scores of ScoreOptions::self_normalized
  // differ from these. Of models whose config says self_normalized; 0 of others.
  double mean_abs_log_z = 0;
};

// Totals of sentence scores, in one place so that every tool prints the same digits.
PerplexityResult TotalPerplexity(int64_t sentences, int64_t tokens, int64_t oov_tokens,
                                 double logprob, double oov_logprob);

// Scores every line of `text` (empty lines are empty sentences). context kSentence: the state
// starts at zero in each line; kDocument: it is carried over. </s> is counted in both. Errors:
// INVALID_ARGUMENT naming the line; FAILED_PRECONDITION for a classifier.
absl::StatusOr<PerplexityResult> EvaluateText(const LanguageModel& model, std::string_view text,
                                              ContextKind context, ThreadPool* pool);

}  // namespace bitlm
