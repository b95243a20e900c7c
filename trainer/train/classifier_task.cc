#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_format.h"
#include "engine/base/status.h"
#include "trainer/data/labelled_batcher.h"
#include "trainer/data/labelled_text.h"
#include "trainer/train/task.h"

namespace bitlm::trainer {
namespace {

using Sentences = std::vector<LabelledSentence>;

std::vector<std::vector<std::string>> WordsOf(const Sentences& sentences, bool whole_only) {
  std::vector<std::vector<std::string>> words;
  for (const LabelledSentence& sentence : sentences) {
    if (sentence.whole || !whole_only) words.push_back(sentence.words);
  }
  return words;
}

std::vector<int32_t> LabelsOf(const Sentences& sentences, const TokenizedCorpus& text) {
  std::vector<int32_t> labels;
  for (const LabelledSentence& sentence : sentences) labels.push_back(sentence.label);
  labels.resize(static_cast<size_t>(text.sentences()));
  return labels;
}

absl::StatusOr<Sentences> Read(const char* key, const std::vector<std::string>& files,
                               const Recipe& recipe, PhraseKind phrases) {
  BITLM_ASSIGN_OR_RETURN(Sentences sentences,
                         ReadLabelledText(files, {.classes = recipe.model.classes,
                                                  .normalization = recipe.model.normalization,
                                                  .phrases = phrases}));
  if (!sentences.empty()) return sentences;
  return absl::InvalidArgumentError(absl::StrFormat("%s: no sentence", key));
}

class Classes final : public Task {
 public:
  absl::Status Check(const Recipe& recipe) const override {
    for (const auto& [set, key] :
         {std::pair(recipe.model.context != ContextKind::kSentence, "model.context"),
          std::pair(!recipe.synthetic.empty(), "data.synthetic"),
          std::pair(recipe.hold_out > 0, "data.hold_out"),
          std::pair(recipe.line_format.column > 0, "data.column"),
          std::pair(recipe.line_format.longest > 0, "data.longest_sentence"),
          std::pair(recipe.line_format.blank_lines, "data.blank_lines"),
          std::pair(recipe.model.self_normalized, "model.self_normalized"),
          std::pair(recipe.shape.softmax_samples > 0, "softmax.samples")}) {
      if (set)
        return absl::InvalidArgumentError(absl::StrFormat("%s: not of head \"classifier\"", key));
    }
    if (recipe.model.classes >= 2) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrFormat("model.classes: %d, expected at least 2", recipe.model.classes));
  }

  // The words are those of the whole sentences: each counts as often as it is written.
  absl::StatusOr<RunData> ReadData(const Recipe& recipe, const std::string&) const override {
    BITLM_ASSIGN_OR_RETURN(const Sentences train,
                           Read("data.train", recipe.train, recipe, recipe.phrases));
    BITLM_ASSIGN_OR_RETURN(const Sentences valid,
                           Read("data.valid", {recipe.valid}, recipe, PhraseKind::kSentences));
    BITLM_ASSIGN_OR_RETURN(const Vocabulary vocabulary,
                           BuildVocabulary(WordsOf(train, true), recipe.vocabulary_size));
    const auto tokenize = [&](const Sentences& sentences) {
      return TokenizeCorpus(WordsOf(sentences, false), vocabulary);
    };
    RunData data{.vocabulary = vocabulary,
                 .valid_path = recipe.valid,
                 .train_text = std::make_unique<const TokenizedCorpus>(
                     FirstTokens(tokenize(train), recipe.max_tokens)),
                 .valid_text = std::make_unique<const TokenizedCorpus>(tokenize(valid)),
                 .train_labels = {},
                 .valid_labels = {},
                 .train = {},
                 .valid = {}};
    data.train_labels = LabelsOf(train, *data.train_text);
    data.valid_labels = LabelsOf(valid, *data.valid_text);
    const int64_t longest =
        std::max(LongestSentence(*data.train_text), LongestSentence(*data.valid_text));
    if (longest > recipe.shape.steps) {
      return absl::InvalidArgumentError(absl::StrFormat(
          "batch.steps: %d, but a classifier reads whole sentences, of up to %d words and </s>",
          recipe.shape.steps, longest - 1));
    }
    const auto batches = [&](const TokenizedCorpus& text, const std::vector<int32_t>& labels,
                             bool shuffle) {
      return std::make_unique<LabelledBatcher>(text, labels, recipe.shape.streams,
                                               recipe.shape.steps, recipe.seed, shuffle,
                                               vocabulary.end_of_sentence_id());
    };
    data.train = batches(*data.train_text, data.train_labels, /*shuffle=*/true);
    data.valid = batches(*data.valid_text, data.valid_labels, /*shuffle=*/false);
    return data;
  }

  // The mean over the sentences of the batch, of which there are more or fewer.
  float GradientScale(const Batch& batch) const override {
    return 1.0f / static_cast<float>(std::max<int64_t>(1, batch.scored));
  }

  Validation Validate(const Batcher& batcher, Network<FastBackend>* network) const override {
    Network<FastBackend>::State state = network->ZeroState();
    Batch batch;
    std::vector<int32_t> classes;
    double loss = 0;
    int64_t sentences = 0, right = 0;
    for (int64_t i = 0; i < batcher.segments(); ++i) {
      batcher.Fill(i, &batch);
      loss += network->LossAndClasses(batch, &state, &classes);
      sentences += batch.scored;
      for (size_t r = 0; r < classes.size(); ++r) right += batch.targets[r] == classes[r];
    }
    const auto count = static_cast<double>(sentences);
    return {.perplexity = std::exp(loss / count),
            .mean_log_z = 0,
            .mean_abs_log_z = 0,
            .accuracy = static_cast<double>(right) / count};
  }

  std::string_view log_columns() const override { return ",valid_accuracy"; }
};

}  // namespace

const Task& ClassifierTask() {
  static const Classes task;
  return task;
}

}  // namespace bitlm::trainer
