#include "trainer/train/run_data.h"

#include <cstddef>
#include <string_view>

#include "engine/base/sha256.h"

namespace bitlm::trainer {

std::string DigestOf(const TokenizedCorpus& text, const std::vector<int32_t>& labels) {
  const auto digest = [](const auto& values) {
    return Sha256Hex(std::string_view(reinterpret_cast<const char*>(values.data()),
                                      values.size() * sizeof(values[0])));
  };
  std::string parts = digest(text.tokens) + digest(text.starts);
  if (!labels.empty()) parts += digest(labels);
  return Sha256Hex(parts);
}

TokenizedCorpus FirstTokens(TokenizedCorpus text, int64_t max_tokens) {
  if (max_tokens == 0) return text;
  while (text.sentences() > 1 && static_cast<int64_t>(text.tokens.size()) > max_tokens) {
    text.starts.pop_back();
    text.tokens.resize(static_cast<size_t>(text.starts.back()));
  }
  return text;
}

}  // namespace bitlm::trainer
