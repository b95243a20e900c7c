#include "trainer/data/corpus.h"

#include <algorithm>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_format.h"
#include "engine/base/file.h"
#include "engine/base/status.h"
#include "engine/model/text_normalizer.h"

namespace bitlm::trainer {

absl::StatusOr<std::vector<std::vector<std::string>>> ReadSentences(
    const std::vector<std::string>& paths, NormalizationKind normalization,
    const LineFormat& format) {
  std::vector<std::vector<std::string>> sentences;
  for (const std::string& path : paths) {
    BITLM_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(path));
    int64_t line_number = 0;
    for (size_t begin = 0; begin < text.size();) {
      size_t end = text.find('\n', begin);
      if (end == std::string::npos) end = text.size();
      ++line_number;
      const std::string_view line = std::string_view(text).substr(begin, end - begin);
      const auto sentence = SentenceOf(line, format);
      auto words = sentence.ok() ? SplitWords(*sentence, normalization) : sentence.status();
      if (!words.ok()) {
        return absl::Status(
            words.status().code(),
            absl::StrFormat("%s: line %d: %s", path, line_number, words.status().message()));
      }
      for (const std::string& word : *words) {
        if (word == "</s>" || word == "<s>") {
          return absl::InvalidArgumentError(
              absl::StrFormat("%s: line %d: the reserved word %s", path, line_number, word));
        }
      }
      AddSentence(*std::move(words), format, &sentences);
      begin = end + 1;
    }
  }
  return sentences;
}

absl::StatusOr<Vocabulary> BuildVocabulary(const std::vector<std::vector<std::string>>& sentences,
                                           int size) {
  absl::flat_hash_map<std::string, int64_t> counts;
  for (const auto& sentence : sentences) {
    for (const std::string& word : sentence) ++counts[word];
  }
  counts.erase("<unk>");
  std::vector<std::pair<std::string, int64_t>> sorted(counts.begin(), counts.end());
  std::sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  });
  if (size > 0) {
    if (size < 3) return absl::InvalidArgumentError("vocabulary size: expected at least 3");
    if (sorted.size() > static_cast<size_t>(size) - 2) sorted.resize(static_cast<size_t>(size) - 2);
  }
  std::vector<std::string> words{std::string(kUnknownWord), std::string(kEndOfSentence)};
  for (auto& [word, count] : sorted) words.push_back(std::move(word));
  return Vocabulary::FromWords(std::move(words));
}

TokenizedCorpus TokenizeCorpus(const std::vector<std::vector<std::string>>& sentences,
                               const Vocabulary& vocabulary) {
  TokenizedCorpus corpus;
  for (const auto& sentence : sentences) {
    for (const std::string& word : sentence) corpus.tokens.push_back(vocabulary.Find(word));
    corpus.tokens.push_back(vocabulary.end_of_sentence_id());
    corpus.starts.push_back(static_cast<int64_t>(corpus.tokens.size()));
  }
  return corpus;
}

void Append(const TokenizedCorpus& more, TokenizedCorpus* corpus) {
  const auto shift = static_cast<int64_t>(corpus->tokens.size());
  corpus->tokens.insert(corpus->tokens.end(), more.tokens.begin(), more.tokens.end());
  for (size_t s = 1; s < more.starts.size(); ++s) corpus->starts.push_back(shift + more.starts[s]);
}

}  // namespace bitlm::trainer
