#include "engine/scoring/golden.h"

#include <bit>
#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/base/status.h"
#include "engine/scoring/classifier.h"
#include "engine/scoring/score_items.h"

namespace bitlm {

absl::StatusOr<std::vector<GoldenSentence>> ComputeGoldenSentences(
    const LanguageModel& model, std::span<const std::string> texts) {
  std::vector<TokenizedSentence> sentences;
  for (const std::string& text : texts) {
    absl::StatusOr<TokenizedSentence> sentence = Tokenize(model.model(), text);
    if (!sentence.ok()) {
      return absl::Status(sentence.status().code(),
                          absl::StrCat("golden sentence ", sentences.size() + 1, ": ",
                                       sentence.status().message()));
    }
    sentences.push_back(*std::move(sentence));
  }
  std::vector<GoldenSentence> golden;
  if (model.config().head == HeadKind::kClassifier) {
    std::vector<const TokenizedSentence*> pointers;
    for (const TokenizedSentence& sentence : sentences) pointers.push_back(&sentence);
    const std::vector<std::vector<float>> classes = Classify(model, pointers, nullptr);
    for (size_t i = 0; i < texts.size(); ++i) {
      golden.push_back({.text = texts[i], .logprob = static_cast<double>(classes[i][0])});
    }
    return golden;
  }
  std::vector<ScoreItem> items;
  for (const TokenizedSentence& sentence : sentences) {
    items.push_back({.sentence = &sentence, .options = {}});
  }
  const std::vector<SentenceScore> scores = ScoreItems(model, items, nullptr, nullptr);
  for (size_t i = 0; i < texts.size(); ++i) {
    golden.push_back({.text = texts[i], .logprob = scores[i].logprob});
  }
  return golden;
}

absl::Status CheckGoldenSentences(const LanguageModel& model) {
  const int version = model.model().metadata.numerics_version;
  if (version != kNumericsVersion) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "config.json: numerics_version %d, expected %d", version, kNumericsVersion));
  }
  std::vector<std::string> texts;
  for (const GoldenSentence& golden : model.model().golden) texts.push_back(golden.text);
  BITLM_ASSIGN_OR_RETURN(const std::vector<GoldenSentence> computed,
                         ComputeGoldenSentences(model, texts));
  for (size_t i = 0; i < computed.size(); ++i) {
    const double expected = model.model().golden[i].logprob;
    if (std::bit_cast<uint64_t>(computed[i].logprob) == std::bit_cast<uint64_t>(expected)) continue;
    return absl::DataLossError(
        absl::StrFormat("config.json: golden sentence %d scores %.17g by %s, expected %.17g", i + 1,
                        computed[i].logprob, model.description(), expected));
  }
  return absl::OkStatus();
}

}  // namespace bitlm
