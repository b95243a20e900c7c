#include "trainer/eval/find_word.h"

#include <string>

#include "engine/model/text_normalizer.h"
#include "engine/model/unicode_tables.h"
#include "engine/model/utf8.h"

namespace bitlm::trainer {
namespace {

// `word` in lower case; bytes that are not UTF-8 stay.
std::string LowerCase(std::string_view word) {
  std::string lower;
  for (size_t i = 0; i < word.size();) {
    const DecodedCodePoint decoded = DecodeUtf8(word, i);
    if (decoded.bytes == 0) {
      lower += word[i++];
      continue;
    }
    const char32_t c = decoded.value;
    AppendUtf8(c >= 0x80 ? ToLower(c) : c >= U'A' && c <= U'Z' ? c + (U'a' - U'A') : c, &lower);
    i += decoded.bytes;
  }
  return lower;
}

}  // namespace

std::optional<TokenId> FindWord(const Model& model, std::string_view word, bool exact) {
  const Vocabulary& vocabulary = model.vocabulary;
  if (vocabulary.Contains(word)) return vocabulary.Find(word);
  if (exact) return std::nullopt;
  const auto normalized = SplitWords(word, model.config.normalization);
  if (normalized.ok() && normalized->size() == 1 && vocabulary.Contains(normalized->front())) {
    return vocabulary.Find(normalized->front());
  }
  const std::string lower = LowerCase(word);
  if (vocabulary.Contains(lower)) return vocabulary.Find(lower);
  return std::nullopt;
}

}  // namespace bitlm::trainer
