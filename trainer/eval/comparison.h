// Models beside each other, as in the papers' tables: size, perplexity, compression.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/model/model.h"
#include "engine/scoring/perplexity.h"

namespace bitlm::trainer {

struct ProtocolResult {
  ContextKind protocol = ContextKind::kSentence;
  PerplexityResult perplexity;
};

// One model, or a row of somebody else's figures.
struct ComparedModel {
  std::string name;
  std::optional<ModelConfig> config;  // Nothing: figures as given, not measured.
  // Of all tensors in the file, as [LCY18] Table 1 counts them; compression is by these.
  uint64_t bytes = 0;
  uint64_t resident_bytes = 0;          // Of weights in the engine's memory; 0: not known.
  std::vector<ProtocolResult> results;  // Of a model.
  double given_perplexity = 0;          // Of figures as given.
};

// Whether all matrices are float: what compression is measured against.
bool IsFloatModel(const ModelConfig& config);

// Figures as given: "NAME,BYTES,PERPLEXITY"; commas before the last two are the name's. Errors:
// INVALID_ARGUMENT naming the part.
absl::StatusOr<ComparedModel> ParseGivenFigures(std::string_view text);

// The row that compression is measured against: that of name `baseline`, or, where that is empty,
// the first float model, which may not be there. Errors: NOT_FOUND listing the names.
absl::StatusOr<std::optional<size_t>> FindBaseline(std::span<const ComparedModel> models,
                                                   std::string_view baseline);

}  // namespace bitlm::trainer
