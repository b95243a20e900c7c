// Model: everything that a model directory holds, in memory; data, no arithmetic.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/model/model_config.h"
#include "engine/model/tensor.h"
#include "engine/model/vocabulary.h"

namespace bitlm {

// The version of the arithmetic that computes scores (docs/numerics.md). A change that moves any
// bit raises it.
inline constexpr int kNumericsVersion = 1;
// The version of the directory layout and of config.json (docs/model-format.md).
inline constexpr int kFormatVersion = 1;

// A sentence and the score that the engine gave it when the model was written: loading proves that
// it still does.
struct GoldenSentence {
  std::string text;    // Words separated by single spaces, as SplitWords takes them.
  double logprob = 0;  // Natural logarithm, </s> included, sentence protocol; compared bit for bit.
};

// Where a model comes from; free text, for people and for model cards.
struct ModelMetadata {
  std::string name;
  std::string corpus;  // "Project Gutenberg, 233 books, public domain".
  std::string license;
  std::string recipe;                 // File name of the recipe.
  std::string protocol = "sentence";  // Of valid_perplexity.
  double valid_perplexity = 0;        // By the serving engine; 0 when not measured.
  int64_t training_tokens = 0;        // Tokens seen, all epochs.
  int numerics_version = kNumericsVersion;
};

struct Model {
  ModelConfig config;
  ModelMetadata metadata;
  Vocabulary vocabulary;
  TensorMap tensors;  // Exactly RequiredTensors(config).
  std::vector<GoldenSentence> golden;
};

// Reads and proves the model in `directory` (config.json, vocab.txt, model.safetensors): size
// limits before any allocation, every offset and shape checked, no tensor missing or extra,
// vocabulary hash and file checksums right. Golden sentences are checked by the nn layer, which can
// compute them. Errors: NOT_FOUND; DATA_LOSS, or FAILED_PRECONDITION for a newer format version,
// each naming file and field.
absl::StatusOr<std::shared_ptr<const Model>> ReadModel(const std::string& directory);

// Writes a model directory atomically: a temporary directory beside it, synced, then renamed.
// Errors: ALREADY_EXISTS when `directory` exists and is not empty, INVALID_ARGUMENT when tensors
// and config disagree.
absl::Status WriteModel(const Model& model, const std::string& directory);

}  // namespace bitlm
