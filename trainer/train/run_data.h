// What a run trains on and is validated on, ready for its steps.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/model/vocabulary.h"
#include "trainer/data/batcher.h"
#include "trainer/data/corpus.h"

namespace bitlm::trainer {

// Texts and labels live where the batchers, which read them, find them: it may be moved.
struct RunData {
  Vocabulary vocabulary;
  // A file with the validation text, for the serving engine.
  std::string valid_path;
  std::unique_ptr<const TokenizedCorpus> train_text, valid_text;
  std::vector<int32_t> train_labels, valid_labels;  // One a sentence; of a classifier.
  std::unique_ptr<Batcher> train, valid;
};

// A checksum of a text, and of labels if there are any.
std::string DigestOf(const TokenizedCorpus& text, const std::vector<int32_t>& labels);

// The first sentences up to `max_tokens` tokens, at least one sentence; 0 = all.
TokenizedCorpus FirstTokens(TokenizedCorpus text, int64_t max_tokens);

}  // namespace bitlm::trainer
