#include "engine/model/vocabulary.h"

#include <utility>

#include "absl/strings/str_format.h"
#include "engine/base/status.h"
#include "engine/model/text_normalizer.h"

namespace bitlm {
namespace {

constexpr size_t kMaxWordBytes = 1024;
constexpr size_t kMaxWords = 4194304;  // ModelConfig::vocabulary_size.

bool IsAsciiSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

// What is wrong with a word, or null.
const char* FindFault(std::string_view word) {
  if (word.empty()) return "empty word";
  if (word.size() > kMaxWordBytes) return "word longer than 1024 bytes";
  for (char c : word) {
    if (c == '\0') return "NUL inside a word";
    if (IsAsciiSpace(c)) return "white space inside a word";
  }
  if (FindInvalidUtf8(word) != std::string_view::npos) return "not valid UTF-8";
  if (word == "<s>") return "\"<s>\" is not a word: a sentence starts with \"</s>\"";
  return nullptr;
}

struct Checked {
  absl::flat_hash_map<std::string_view, TokenId> index;
  TokenId unknown_id = 0;
  TokenId end_of_sentence_id = 0;
};

absl::StatusOr<Checked> Check(const std::vector<std::string>& words,
                              const std::function<absl::Status(const std::string&)>& error) {
  if (words.size() > kMaxWords) {
    return error(absl::StrFormat("%d words, expected at most %d", words.size(), kMaxWords));
  }
  Checked checked;
  checked.index.reserve(words.size());
  for (size_t i = 0; i < words.size(); ++i) {
    if (const char* fault = FindFault(words[i])) {
      return error(absl::StrFormat("line %d: %s", i + 1, fault));
    }
    const auto [known, inserted] = checked.index.try_emplace(words[i], static_cast<TokenId>(i));
    if (!inserted) {
      return error(
          absl::StrFormat("line %d: repeats the word of line %d", i + 1, known->second + 1));
    }
  }
  for (const auto& [word, id] : {std::pair(kUnknownWord, &checked.unknown_id),
                                 std::pair(kEndOfSentence, &checked.end_of_sentence_id)}) {
    const auto found = checked.index.find(word);
    if (found == checked.index.end()) {
      return error(absl::StrFormat("line %d: end of file, the word \"%s\" is missing",
                                   words.size() + 1, word));
    }
    *id = found->second;
  }
  return checked;
}

}  // namespace

absl::StatusOr<Vocabulary> Vocabulary::Parse(std::string_view text, std::string_view source) {
  const auto error = [&](const std::string& message) {
    return absl::DataLossError(absl::StrFormat("%s: %s", source, message));
  };
  auto words = std::make_shared<std::vector<std::string>>();
  while (!text.empty()) {
    const size_t end = text.find('\n');
    if (end == std::string_view::npos) {
      return error(absl::StrFormat("line %d: no newline at the end", words->size() + 1));
    }
    if (words->size() == kMaxWords) {
      return error(absl::StrFormat("line %d: expected at most %d words", kMaxWords + 1, kMaxWords));
    }
    words->emplace_back(text.substr(0, end));
    text.remove_prefix(end + 1);
  }
  return Make(std::move(words), error);
}

absl::StatusOr<Vocabulary> Vocabulary::FromWords(std::vector<std::string> words) {
  return Make(std::make_shared<const std::vector<std::string>>(std::move(words)),
              [](const std::string& message) {
                return absl::InvalidArgumentError("vocabulary: " + message);
              });
}

absl::StatusOr<Vocabulary> Vocabulary::Make(
    std::shared_ptr<const std::vector<std::string>> words,
    const std::function<absl::Status(const std::string&)>& error) {
  BITLM_ASSIGN_OR_RETURN(Checked checked, Check(*words, error));
  Vocabulary vocabulary;
  vocabulary.words_ = std::move(words);
  vocabulary.index_ = std::make_shared<const decltype(checked.index)>(std::move(checked.index));
  vocabulary.unknown_id_ = checked.unknown_id;
  vocabulary.end_of_sentence_id_ = checked.end_of_sentence_id;
  return vocabulary;
}

TokenId Vocabulary::Find(std::string_view word) const {
  const auto found = index_->find(word);
  return found == index_->end() ? unknown_id_ : found->second;
}

bool Vocabulary::Contains(std::string_view word) const { return index_->contains(word); }

std::string Vocabulary::Serialize() const {
  std::string text;
  for (const std::string& word : *words_) text.append(word).push_back('\n');
  return text;
}

uint64_t Vocabulary::MemoryBytes() const {
  uint64_t bytes = words_->capacity() * sizeof(std::string);
  for (const std::string& word : *words_) {
    // Short strings live inside the object.
    if (word.capacity() > std::string().capacity()) bytes += word.capacity() + 1;
  }
  // A flat table: one slot and one control byte per place.
  return bytes + index_->capacity() * (sizeof(std::pair<std::string_view, TokenId>) + 1);
}

}  // namespace bitlm
