#include "server/service/next_words_request.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "engine/base/status.h"
#include "server/service/errors.h"
#include "server/service/request_parser.h"
#include "server/service/score_request.h"

namespace bitlm {
namespace {

constexpr int64_t kDefaultTopK = 10;

// Words that a model may answer with.
int64_t AnswerableWords(const NextWordOptions& options, const Vocabulary& vocabulary) {
  return vocabulary.size() - (options.allow_unknown ? 0 : 1) -
         (options.allow_end_of_sentence ? 0 : 1);
}

// A single word, with its text. Errors: INVALID_ARGUMENT naming the field.
absl::StatusOr<Candidate> ReadCandidate(std::string_view field, const std::string& text,
                                        const Model& model) {
  if (text == kEndOfSentence) {
    return Candidate{.token = model.vocabulary.end_of_sentence_id(), .word = text};
  }
  absl::StatusOr<TokenizedSentence> sentence = Tokenize(model, text, 1);
  if (absl::IsOutOfRange(sentence.status())) return InvalidField(field, "more than one word");
  if (!sentence.ok()) return InvalidField(field, ToStd(sentence.status().message()));
  if (sentence->words.empty()) return InvalidField(field, "no word");
  return Candidate{
      .token = sentence->tokens[0], .oov = sentence->oov[0], .word = std::move(sentence->words[0])};
}

absl::StatusOr<std::vector<Candidate>> ReadCandidates(const v1::NextWordsRequest& request,
                                                      const Model& model) {
  std::vector<Candidate> candidates;
  absl::flat_hash_set<std::string> seen;
  for (int i = 0; i < request.candidates_size(); ++i) {
    BITLM_ASSIGN_OR_RETURN(
        Candidate candidate,
        ReadCandidate(Element("candidates", static_cast<size_t>(i)), request.candidates(i), model));
    if (!seen.insert(candidate.word).second) continue;
    candidate.index = i;
    // The vocabulary has the other words. (clear() would keep the memory.)
    if (!candidate.oov) candidate.word = std::string();
    candidates.push_back(std::move(candidate));
  }
  return candidates;
}

v1::NextWord* AddWord(std::string_view word, const TokenScore& score, v1::NextWordsResponse* out) {
  v1::NextWord* item = out->add_words();
  item->set_word(std::string(word));
  item->set_id(score.token);
  item->set_logprob(score.logprob);
  return item;
}

// Adds the candidates that have the answered tokens.
void AddCandidates(const Vocabulary& vocabulary, const NextWordsQuery& query,
                   const std::vector<TokenScore>& words, v1::NextWordsResponse* out) {
  absl::flat_hash_map<TokenId, std::vector<const Candidate*>> by_token;
  int oov_count = 0;
  for (const Candidate& candidate : *query.candidates) {
    by_token[candidate.token].push_back(&candidate);
    oov_count += candidate.oov ? 1 : 0;
  }
  out->set_candidate_oov_count(oov_count);
  for (const TokenScore& score : words) {
    for (const Candidate* candidate : by_token[score.token]) {
      if (out->words_size() == query.options.top_k) return;
      v1::NextWord* item =
          AddWord(candidate->oov ? candidate->word : vocabulary.Word(score.token), score, out);
      item->set_oov(candidate->oov);
      item->set_candidate_index(candidate->index);
    }
  }
}

}  // namespace

absl::Status CheckCandidateCount(const grpc::ByteBuffer& bytes, const RequestLimits& limits) {
  const int64_t count = CountFields(bytes, v1::NextWordsRequest::kCandidatesFieldNumber);
  if (count <= limits.max_top_k) return absl::OkStatus();
  return OverLimit("candidates", "words", count, "max_top_k", limits.max_top_k);
}

absl::StatusOr<NextWordsQuery> ReadNextWordsQuery(const v1::NextWordsRequest& request,
                                                  const ServedModel& served,
                                                  const RequestLimits& limits) {
  const Model& model = served.model->model();
  NextWordsQuery query;
  NextWordOptions& options = query.options;
  options.allow_unknown = request.allow_unknown();
  if (request.has_allow_end_of_sentence()) {
    options.allow_end_of_sentence = request.allow_end_of_sentence();
  }
  if (request.self_normalized() && !model.config.self_normalized) {
    return NotSelfNormalized("self_normalized");
  }
  options.self_normalized = request.self_normalized();
  int64_t limit = limits.max_top_k;
  int64_t default_top_k = kDefaultTopK;
  if (request.has_prefix()) {
    if (request.candidates_size() > 0) return InvalidField("prefix", "excludes candidates");
    absl::StatusOr<std::string> prefix = NormalizePrefix(model, request.prefix());
    if (!prefix.ok()) return InvalidField("prefix", ToStd(prefix.status().message()));
    query.completions = served.word_index.StartingWith(*prefix);
  } else if (request.candidates_size() > 0) {
    BITLM_ASSIGN_OR_RETURN(query.candidates, ReadCandidates(request, model));
    default_top_k = request.candidates_size();
  } else {
    limit = std::min(limit, AnswerableWords(options, model.vocabulary));
  }
  if (request.top_k() < 0 || request.top_k() > limit) {
    return OutOfRange("top_k", request.top_k(), 0, limit);
  }
  options.top_k =
      request.top_k() > 0 ? request.top_k() : static_cast<int>(std::min(default_top_k, limit));
  BITLM_ASSIGN_OR_RETURN(query.context, TokenizeField("context", request.context(), model, limits));
  query.context.words = {};  // Only the tokens wait in the queue.
  return query;
}

v1::NextWordsResponse MakeNextWordsResponse(const ServedModel& model, NextWordsTask& task) {
  v1::NextWordsResponse response;
  response.set_model(model.name);
  response.set_model_version(model.version);
  const NextWordsQuery& query = task.query();
  const std::vector<bool>& oov = query.context.oov;
  response.set_context_word_count(static_cast<int32_t>(oov.size()));
  response.set_context_oov_count(static_cast<int32_t>(std::count(oov.begin(), oov.end(), true)));
  const Vocabulary& vocabulary = model.model->vocabulary();
  if (query.candidates) {
    AddCandidates(vocabulary, query, task.words(), &response);
  } else {
    for (const TokenScore& score : task.words()) {
      AddWord(vocabulary.Word(score.token), score, &response);
    }
  }
  return response;
}

}  // namespace bitlm
