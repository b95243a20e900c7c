#include "server/service/score_request.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/strings/str_format.h"
#include "engine/base/status.h"
#include "server/service/errors.h"
#include "server/service/request_parser.h"

namespace bitlm {
namespace {

constexpr double kMaxOovLogprob = 1e6;

void AddWord(std::string_view word, TokenId id, bool oov, size_t position,
             const SentenceScore& score, v1::SentenceScore* out) {
  v1::WordScore* item = out->add_words();
  item->set_word(std::string(word));
  item->set_id(id);
  item->set_logprob(score.token_logprobs[position]);
  item->set_oov(oov);
  if (!score.token_ranks.empty()) item->set_rank(score.token_ranks[position]);
}

}  // namespace

absl::StatusOr<ScoreOptions> ReadScoreOptions(const v1::ScoreOptions& options,
                                              const ModelConfig& config) {
  ScoreOptions result;
  if (options.has_begin_of_sentence()) result.begin_of_sentence = options.begin_of_sentence();
  if (options.has_end_of_sentence()) result.end_of_sentence = options.end_of_sentence();
  switch (options.oov_policy()) {
    case v1::OOV_POLICY_UNSPECIFIED:
    case v1::OOV_POLICY_UNKNOWN_WORD:
      result.oov_policy = OovPolicy::kAsUnknown;
      break;
    case v1::OOV_POLICY_FIXED:
      result.oov_policy = OovPolicy::kFixed;
      break;
    case v1::OOV_POLICY_OFFSET:
      result.oov_policy = OovPolicy::kOffset;
      break;
    default:
      return InvalidField("options.oov_policy",
                          absl::StrFormat("unknown value %d", options.oov_policy()));
  }
  const double oov_logprob = options.oov_logprob();
  if (!(std::abs(oov_logprob) <= kMaxOovLogprob)) {  // Also when it is not a number.
    return InvalidField("options.oov_logprob", "must be from -1e6 to 1e6");
  }
  if (result.oov_policy == OovPolicy::kFixed && oov_logprob > 0) {
    return InvalidField("options.oov_logprob",
                        "must be at most 0 with OOV_POLICY_FIXED: it is the logarithm of a "
                        "probability");
  }
  if (result.oov_policy == OovPolicy::kAsUnknown && oov_logprob != 0) {
    return InvalidField("options.oov_logprob",
                        "needs options.oov_policy OOV_POLICY_FIXED or OOV_POLICY_OFFSET");
  }
  result.oov_logprob = oov_logprob;
  if (options.self_normalized() && !config.self_normalized) {
    return NotSelfNormalized("options.self_normalized");
  }
  result.self_normalized = options.self_normalized();
  // Ranks would need the whole vocabulary.
  result.want_ranks = options.include_words() && !options.self_normalized();
  return result;
}

absl::Status CheckSentenceCount(const grpc::ByteBuffer& bytes, const RequestLimits& limits) {
  const int64_t count = CountFields(bytes, v1::ScoreSentencesRequest::kSentencesFieldNumber);
  if (count <= limits.max_sentences_per_request) return absl::OkStatus();
  return OverLimit("sentences", "sentences", count, "max_sentences_per_request",
                   limits.max_sentences_per_request);
}

int64_t EstimateTokens(const grpc::ByteBuffer& bytes) {
  int64_t tokens = 1;
  std::vector<grpc::Slice> slices;
  if (!bytes.Dump(&slices).ok()) return 0;
  for (const grpc::Slice& slice : slices) {
    tokens += std::count(slice.begin(), slice.end(), uint8_t{' '});
  }
  return tokens;
}

absl::StatusOr<TokenizedSentence> TokenizeField(std::string_view field, std::string_view text,
                                                const Model& model, const RequestLimits& limits) {
  absl::StatusOr<TokenizedSentence> sentence =
      Tokenize(model, text, static_cast<size_t>(limits.max_words_per_sentence));
  if (absl::IsOutOfRange(sentence.status())) {
    return InvalidField(field, absl::StrFormat("more words than max_words_per_sentence (%d)",
                                               limits.max_words_per_sentence));
  }
  if (!sentence.ok()) return InvalidField(field, ToStd(sentence.status().message()));
  return sentence;
}

absl::StatusOr<std::vector<TokenizedSentence>> TokenizeSentences(
    const v1::ScoreSentencesRequest& request, const Model& model, const RequestLimits& limits) {
  std::vector<TokenizedSentence> sentences;
  sentences.reserve(static_cast<size_t>(request.sentences_size()));
  for (int i = 0; i < request.sentences_size(); ++i) {
    BITLM_ASSIGN_OR_RETURN(TokenizedSentence sentence,
                           TokenizeField(Element("sentences", static_cast<size_t>(i)),
                                         request.sentences(i), model, limits));
    // The queue holds the words only when the answer will need them.
    if (!request.options().include_words()) sentence.words = {};
    sentences.push_back(std::move(sentence));
  }
  return sentences;
}

v1::ScoreSentencesResponse MakeScoreResponse(const ServedModel& model, bool include_words,
                                             ScoreTask& task) {
  v1::ScoreSentencesResponse response;
  response.set_model(model.name);
  response.set_model_version(model.version);
  const Vocabulary& vocabulary = model.model->vocabulary();
  const ScoreOptions& options = task.options();
  for (size_t i = 0; i < task.sentences().size(); ++i) {
    const TokenizedSentence& sentence = task.sentences()[i];
    const SentenceScore& score = task.scores()[i];
    v1::SentenceScore* out = response.add_scores();
    out->set_logprob(score.logprob);
    out->set_word_count(static_cast<int32_t>(sentence.tokens.size()));
    out->set_token_count(static_cast<int32_t>(score.token_logprobs.size()));
    out->set_oov_count(score.oov_count);
    out->set_oov_logprob(score.oov_logprob);
    if (!include_words) continue;
    const size_t first = options.begin_of_sentence ? 0 : 1;
    size_t position = 0;
    for (size_t w = first; w < sentence.tokens.size(); ++w) {
      AddWord(sentence.words[w], sentence.tokens[w], sentence.oov[w], position++, score, out);
    }
    if (position < score.token_logprobs.size()) {
      AddWord(kEndOfSentence, vocabulary.end_of_sentence_id(), false, position, score, out);
    }
  }
  return response;
}

}  // namespace bitlm
