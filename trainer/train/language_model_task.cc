#include <cmath>
#include <utility>

#include "engine/base/status.h"
#include "trainer/data/stream_batcher.h"
#include "trainer/train/run_texts.h"
#include "trainer/train/task.h"

namespace bitlm::trainer {
namespace {

class Words final : public Task {
 public:
  absl::Status Check(const Recipe& recipe) const override {
    if (recipe.phrases == PhraseKind::kSentences) return absl::OkStatus();
    return absl::InvalidArgumentError("data.phrases: only of head \"classifier\"");
  }

  absl::StatusOr<RunData> ReadData(const Recipe& recipe,
                                   const std::string& directory) const override {
    BITLM_ASSIGN_OR_RETURN(const RunTexts texts, ReadRunTexts(recipe, directory));
    BITLM_ASSIGN_OR_RETURN(const Vocabulary vocabulary,
                           BuildVocabulary(texts.train, recipe.vocabulary_size));
    TokenizedCorpus train = FirstTokens(TokenizeCorpus(texts.train, vocabulary), recipe.max_tokens);
    Append(TokenizeCorpus(texts.synthetic, vocabulary), &train);
    RunData data{.vocabulary = vocabulary,
                 .valid_path = texts.valid_path,
                 .train_text = std::make_unique<const TokenizedCorpus>(std::move(train)),
                 .valid_text = std::make_unique<const TokenizedCorpus>(
                     TokenizeCorpus(texts.valid, vocabulary)),
                 .train_labels = {},
                 .valid_labels = {},
                 .train = {},
                 .valid = {}};
    const auto batches = [&](const TokenizedCorpus& text, uint64_t seed, bool shuffle) {
      return std::make_unique<StreamBatcher>(text, recipe.model.context, recipe.shape.streams,
                                             recipe.shape.steps, seed, shuffle,
                                             vocabulary.end_of_sentence_id());
    };
    data.train = batches(*data.train_text, recipe.seed, /*shuffle=*/true);
    data.valid = batches(*data.valid_text, 0, /*shuffle=*/false);
    return data;
  }

  // The loss is summed over time and averaged over streams, as in Zaremba et al. 2014.
  float GradientScale(const Batch& batch) const override {
    return 1.0f / static_cast<float>(batch.streams);
  }

  Validation Validate(const Batcher& batcher, Network<FastBackend>* network) const override {
    Network<FastBackend>::State state = network->ZeroState();
    Batch batch;
    double loss = 0, log_z = 0, abs_log_z = 0;
    int64_t tokens = 0;
    for (int64_t i = 0; i < batcher.segments(); ++i) {
      batcher.Fill(i, &batch);
      loss += network->Loss(batch, &state);
      log_z += network->log_z().sum;
      abs_log_z += network->log_z().absolute;
      tokens += batch.scored;
    }
    const auto scored = static_cast<double>(tokens);
    return {.perplexity = std::exp(loss / scored),
            .mean_log_z = log_z / scored,
            .mean_abs_log_z = abs_log_z / scored,
            .accuracy = {}};
  }

  std::string_view log_columns() const override { return ""; }
};

}  // namespace

const Task& LanguageModelTask() {
  static const Words task;
  return task;
}

}  // namespace bitlm::trainer
