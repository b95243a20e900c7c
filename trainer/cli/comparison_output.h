// What `bitlm-train compare` prints.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "trainer/eval/comparison.h"

namespace bitlm::trainer {

struct Comparison {
  std::string text;  // Path of the text that was evaluated.
  std::vector<ComparedModel> models;
  std::optional<size_t> baseline;  // Of `models`; nothing: no compression.
  bool same_words = true;          // Whether perplexities compare.
};

// A row for each model and protocol, with notes below that say what the columns are.
std::string ComparisonTable(const Comparison& comparison, bool markdown);
std::string ComparisonJson(const Comparison& comparison);

}  // namespace bitlm::trainer
