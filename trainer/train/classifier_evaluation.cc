#include "trainer/train/classifier_evaluation.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "engine/base/status.h"
#include "engine/scoring/classifier.h"
#include "engine/scoring/sentence_scorer.h"
#include "trainer/data/labelled_text.h"

namespace bitlm::trainer {
namespace {

// Sentences whose states are in memory at once.
constexpr size_t kSentencesAtOnce = 512;

}  // namespace

double ClassificationResult::accuracy() const {
  return static_cast<double>(right) / static_cast<double>(sentences);
}

double ClassificationResult::perplexity() const {
  return std::exp(-logprob / static_cast<double>(sentences));
}

absl::StatusOr<ClassificationResult> EvaluateClassifier(const LanguageModel& model,
                                                        const std::string& path, ThreadPool* pool) {
  const ModelConfig& config = model.config();
  if (config.head != HeadKind::kClassifier) {
    return absl::FailedPreconditionError("head: \"language_model\", expected \"classifier\"");
  }
  BITLM_ASSIGN_OR_RETURN(
      const std::vector<LabelledSentence> labelled,
      ReadLabelledText({path}, {.classes = config.classes, .normalization = config.normalization}));
  if (labelled.empty()) return absl::InvalidArgumentError(path + ": no sentence");
  const auto classes = static_cast<size_t>(config.classes);
  ClassificationResult result;
  result.confusion.assign(classes, std::vector<int64_t>(classes));
  for (size_t first = 0; first < labelled.size(); first += kSentencesAtOnce) {
    const size_t count = std::min(kSentencesAtOnce, labelled.size() - first);
    std::vector<TokenizedSentence> sentences;
    for (size_t i = first; i < first + count; ++i) {
      BITLM_ASSIGN_OR_RETURN(TokenizedSentence sentence, Tokenize(model.model(), labelled[i].text));
      result.tokens += static_cast<int64_t>(sentence.tokens.size());
      result.oov_tokens += std::count(sentence.oov.begin(), sentence.oov.end(), true);
      sentences.push_back(std::move(sentence));
    }
    std::vector<const TokenizedSentence*> pointers;
    for (const TokenizedSentence& sentence : sentences) pointers.push_back(&sentence);
    const auto answers = Classify(model, pointers, pool);
    for (size_t i = 0; i < count; ++i) {
      const auto label = static_cast<size_t>(labelled[first + i].label);
      const std::vector<float>& logprobs = answers[i];
      const auto answer = static_cast<size_t>(std::max_element(logprobs.begin(), logprobs.end()) -
                                              logprobs.begin());
      ++result.sentences;
      result.right += answer == label;
      result.logprob += static_cast<double>(logprobs[label]);
      ++result.confusion[label][answer];
    }
  }
  return result;
}

}  // namespace bitlm::trainer
