#include "engine/scoring/perplexity.h"

#include <cmath>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/scoring/prefix_walk.h"
#include "engine/scoring/score_items.h"

namespace bitlm {
namespace {

// Sentences that are scored together: their states are in memory at once.
constexpr size_t kSentencesAtOnce = 1024;

// Lines of a text, one by one; a last newline does not begin a line.
class LineReader {
 public:
  explicit LineReader(std::string_view text) : rest_(text) {}

  bool Next(std::string_view* line) {
    if (rest_.empty()) return false;
    const size_t end = rest_.find('\n');
    *line = rest_.substr(0, end);
    rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end + 1);
    ++number_;
    return true;
  }
  int64_t number() const { return number_; }  // Of the last line, from 1.

 private:
  std::string_view rest_;
  int64_t number_ = 0;
};

absl::StatusOr<TokenizedSentence> TokenizeLine(const Model& model, std::string_view line,
                                               int64_t number) {
  absl::StatusOr<TokenizedSentence> sentence = Tokenize(model, line);
  if (sentence.ok()) return sentence;
  return absl::Status(sentence.status().code(),
                      absl::StrCat("line ", number, ": ", sentence.status().message()));
}

// Sums of sentences, in the text's order.
struct Totals {
  int64_t sentences = 0;
  int64_t tokens = 0;
  int64_t oov_tokens = 0;
  double logprob = 0;
  double oov_logprob = 0;
  double abs_log_z = 0;

  void Add(const SentenceScore& score) {
    ++sentences;
    tokens += static_cast<int64_t>(score.token_logprobs.size());
    oov_tokens += score.oov_count;
    logprob += score.logprob;
    oov_logprob += score.oov_logprob;
  }
  // The same tokens' logits and log-probabilities.
  void AddLogZ(std::span<const float> logits, std::span<const float> logprobs) {
    for (size_t i = 0; i < logits.size(); ++i)
      abs_log_z += std::fabs(static_cast<double>(logits[i]) - static_cast<double>(logprobs[i]));
  }
  PerplexityResult Result() const {
    PerplexityResult result = TotalPerplexity(sentences, tokens, oov_tokens, logprob, oov_logprob);
    if (tokens > 0) result.mean_abs_log_z = abs_log_z / static_cast<double>(tokens);
    return result;
  }
};

absl::StatusOr<PerplexityResult> EvaluateSentences(const LanguageModel& model,
                                                   std::string_view text, ThreadPool* pool) {
  LineReader lines(text);
  Totals totals;
  bool more = true;
  while (more) {
    std::vector<TokenizedSentence> sentences;
    std::string_view line;
    while (sentences.size() < kSentencesAtOnce && (more = lines.Next(&line))) {
      BITLM_ASSIGN_OR_RETURN(TokenizedSentence sentence,
                             TokenizeLine(model.model(), line, lines.number()));
      sentences.push_back(std::move(sentence));
    }
    std::vector<ScoreItem> items;
    for (const TokenizedSentence& sentence : sentences) {
      items.push_back({.sentence = &sentence, .options = {}});
    }
    if (model.config().self_normalized) {
      for (const TokenizedSentence& sentence : sentences)
        items.push_back({.sentence = &sentence, .options = {.self_normalized = true}});
    }
    const std::vector<SentenceScore> scores = ScoreItems(model, items, pool, nullptr);
    for (size_t i = 0; i < sentences.size(); ++i) totals.Add(scores[i]);
    for (size_t i = sentences.size(); i < scores.size(); ++i)
      totals.AddLogZ(scores[i].token_logprobs, scores[i - sentences.size()].token_logprobs);
  }
  return totals.Result();
}

// One long sequence: </s>, the first line's words, </s>, the second line's, …. Its states depend
// on each other and are computed one by one; the outputs of up to kMaxExecutionRows of them are
// then one execution.
class DocumentEvaluator {
 public:
  DocumentEvaluator(const LanguageModel& model, ThreadPool* pool)
      : model_(model),
        pool_(pool),
        states_(std::make_unique<float[]>(kMaxExecutionRows * model.state_size())),
        logprobs_(kMaxExecutionRows) {}

  void Add(const TokenizedSentence& sentence) {
    const TokenId end = model_.vocabulary().end_of_sentence_id();
    TokenId input = end;
    for (size_t i = 0; i <= sentence.tokens.size(); ++i) {
      const bool last = i == sentence.tokens.size();
      Read(input);
      targets_.push_back(last ? end : sentence.tokens[i]);
      oov_.push_back(!last && sentence.oov[i]);
      last_.push_back(last);
      if (!last) input = sentence.tokens[i];
      if (targets_.size() == kMaxExecutionRows) Flush();
    }
  }

  PerplexityResult Result() {
    Flush();
    return totals_.Result();
  }

 private:
  float* State(size_t row) { return states_.get() + row * model_.state_size(); }

  // Advances into the next row of the arena, from the row before it.
  void Read(TokenId token) {
    const size_t row = targets_.size();
    const float* state = !started_ ? nullptr : State(row == 0 ? kMaxExecutionRows - 1 : row - 1);
    float* next = State(row);
    started_ = true;
    model_.Advance({&token, 1}, {&state, 1}, {&next, 1}, pool_);
  }

  void Flush() {
    std::vector<OutputRow> rows(targets_.size());
    for (size_t i = 0; i < rows.size(); ++i) {
      rows[i].state = State(i);
      rows[i].targets = {&targets_[i], 1};
      rows[i].logprobs = &logprobs_[i];
    }
    model_.Output(rows, pool_);
    if (model_.config().self_normalized) {
      std::vector<float> logits(rows.size());
      for (size_t i = 0; i < rows.size(); ++i) {
        rows[i].logprobs = &logits[i];
        rows[i].self_normalized = true;
      }
      model_.Output(rows, pool_);
      totals_.AddLogZ(logits, {logprobs_.data(), rows.size()});
    }
    for (size_t i = 0; i < rows.size(); ++i) {
      sentence_.token_logprobs.push_back(logprobs_[i]);
      sentence_.logprob += static_cast<double>(logprobs_[i]);
      if (oov_[i]) {
        ++sentence_.oov_count;
        sentence_.oov_logprob += static_cast<double>(logprobs_[i]);
      }
      if (last_[i]) {
        totals_.Add(sentence_);
        sentence_ = {};
      }
    }
    targets_.clear();
    oov_.clear();
    last_.clear();
  }

  const LanguageModel& model_;
  ThreadPool* const pool_;
  const std::unique_ptr<float[]> states_;  // [kMaxExecutionRows][state_size].
  std::vector<float> logprobs_;
  // Of the rows that wait for their outputs.
  std::vector<TokenId> targets_;
  std::vector<bool> oov_;
  std::vector<bool> last_;
  bool started_ = false;
  SentenceScore sentence_;  // The line in progress.
  Totals totals_;
};

}  // namespace

PerplexityResult TotalPerplexity(int64_t sentences, int64_t tokens, int64_t oov_tokens,
                                 double logprob, double oov_logprob) {
  const auto perplexity = [](double sum, int64_t count) {
    return count == 0 ? 0.0 : std::exp(-sum / static_cast<double>(count));
  };
  return {.sentences = sentences,
          .tokens = tokens,
          .oov_tokens = oov_tokens,
          .logprob = logprob,
          .oov_logprob = oov_logprob,
          .perplexity = perplexity(logprob, tokens),
          .perplexity_excluding_oov = perplexity(logprob - oov_logprob, tokens - oov_tokens)};
}

absl::StatusOr<PerplexityResult> EvaluateText(const LanguageModel& model, std::string_view text,
                                              ContextKind context, ThreadPool* pool) {
  if (model.config().head != HeadKind::kLanguageModel) {
    return absl::FailedPreconditionError("head: a classifier has no perplexity");
  }
  if (context == ContextKind::kSentence) return EvaluateSentences(model, text, pool);
  LineReader lines(text);
  DocumentEvaluator evaluator(model, pool);
  std::string_view line;
  while (lines.Next(&line)) {
    BITLM_ASSIGN_OR_RETURN(TokenizedSentence sentence,
                           TokenizeLine(model.model(), line, lines.number()));
    evaluator.Add(sentence);
  }
  return evaluator.Result();
}

}  // namespace bitlm
