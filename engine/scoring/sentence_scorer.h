// SentenceScorer: log-probabilities of whole sentences, each distinct prefix computed once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/base/thread_pool.h"
#include "engine/nn/language_model.h"

namespace bitlm {

// How out-of-vocabulary words count.
enum class OovPolicy {
  kAsUnknown,  // As the model's <unk>: log P(<unk> | prefix).
  kFixed,      // `oov_logprob` instead of the model's probability.
  kOffset,     // log P(<unk> | prefix) + `oov_logprob`.
};

struct ScoreOptions {
  // Whether the sentence starts at its first word (state zero, </s> read). False: the first word is
  // not scored, it only starts the context.
  bool begin_of_sentence = true;
  // Whether </s> is scored after the last word.
  bool end_of_sentence = true;
  OovPolicy oov_policy = OovPolicy::kAsUnknown;
  double oov_logprob = 0;  // Nats; kFixed and kOffset only.
  bool want_ranks = false;
  // Whether log-probabilities are the model's logits, without log Z (OutputRow::self_normalized):
  // for models whose config says self_normalized. A sum of them may be above 0. With ranks they
  // cost the whole vocabulary nevertheless.
  bool self_normalized = false;
};

// A sentence as ids; out-of-vocabulary words have the id of <unk>.
struct TokenizedSentence {
  std::vector<TokenId> tokens;  // [T], without </s>.
  std::vector<std::string>
      words;  // [T], as normalized: for answers and for telling OOV words from a literal "<unk>".
  std::vector<bool> oov;  // [T].
};

struct SentenceScore {
  std::vector<float>
      token_logprobs;  // [T' ], nats; the last is </s> if asked for. After the OOV policy.
  std::vector<int32_t> token_ranks;  // [T'] or empty. 1 = the most probable.
  double logprob = 0;                // Sum of token_logprobs in order, in double precision, nats.
  double oov_logprob = 0;            // The part of it that OOV words gave.
  int oov_count = 0;                 // OOV words among those scored.
};

// Normalizes, splits and looks up one sentence. A literal "<unk>" in the text is OOV as well (as in
// the Penn Treebank's preprocessed text). Errors: INVALID_ARGUMENT as SplitWords; also for a
// literal "</s>" or "<s>" as a word; OUT_OF_RANGE for more than `max_words` words, told when they
// are reached: a long text of short words takes many times its own memory as words.
absl::StatusOr<TokenizedSentence> Tokenize(const Model& model, std::string_view text,
                                           size_t max_words = std::numeric_limits<size_t>::max());

// Normalizes the beginning of a word, as far as it has been typed: what the normalized words that
// it may become begin with ("Don'" is "don'", where the word "Don'" is "don"). Empty when nothing
// is left of it. Errors: INVALID_ARGUMENT as SplitWords, and for more than the beginning of one
// word, such as a word and white space.
absl::StatusOr<std::string> NormalizePrefix(const Model& model, std::string_view text);

struct ScoreItem {
  const TokenizedSentence* sentence = nullptr;
  ScoreOptions options;
};

struct ScoreStatistics {
  int64_t steps = 0;        // LSTM steps computed: distinct prefixes.
  int64_t output_rows = 0;  // Output rows computed.
  int64_t tokens = 0;       // Tokens scored.
};

// Scores sentences of one or many requests together in a prefix tree. Thread-safe: holds only an
// immutable model.
class SentenceScorer {
 public:
  explicit SentenceScorer(std::shared_ptr<const LanguageModel> model);

  // Returns the scores in input order. Shapes: [N] items, [N] scores. Units: nats. An empty
  // sentence scores </s> alone. Memory: states of the tree's frontier only. `pool` and `statistics`
  // may be null.
  std::vector<SentenceScore> Score(std::span<const ScoreItem> items, ThreadPool* pool,
                                   ScoreStatistics* statistics = nullptr) const;

  const LanguageModel& language_model() const { return *model_; }

 private:
  std::shared_ptr<const LanguageModel> model_;
};

}  // namespace bitlm
