// Vocabulary: words and their ids.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"

namespace bitlm {

using TokenId = int32_t;

inline constexpr std::string_view kUnknownWord = "<unk>";
inline constexpr std::string_view kEndOfSentence = "</s>";

// An immutable list of distinct words; the id of a word is its line in vocab.txt, from 0. It holds
// "<unk>" and "</s>", anywhere. The start of a sentence is the input of "</s>" to a zero state:
// there is no "<s>" in the table, it is never predicted. Thread-safe.
class Vocabulary {
 public:
  // Parses the text of vocab.txt: one word a line, final newline required. Errors: DATA_LOSS naming
  // the line for an empty, repeated or not UTF-8 word, white space or NUL inside a word, or a
  // missing special word. `source` prefixes messages.
  static absl::StatusOr<Vocabulary> Parse(std::string_view text, std::string_view source);
  // The same from a list.
  static absl::StatusOr<Vocabulary> FromWords(std::vector<std::string> words);

  int size() const { return static_cast<int>(words_->size()); }
  TokenId unknown_id() const { return unknown_id_; }
  TokenId end_of_sentence_id() const { return end_of_sentence_id_; }

  // The id of `word`, or unknown_id(). O(1).
  TokenId Find(std::string_view word) const;
  bool Contains(std::string_view word) const;
  // id in [0, size()).
  std::string_view Word(TokenId id) const { return (*words_)[static_cast<size_t>(id)]; }

  // The text of vocab.txt.
  std::string Serialize() const;
  // Bytes of the strings and the index in memory, about.
  uint64_t MemoryBytes() const;

 private:
  Vocabulary() = default;
  // `error` turns a message into the Status of the caller's kind.
  static absl::StatusOr<Vocabulary> Make(
      std::shared_ptr<const std::vector<std::string>> words,
      const std::function<absl::Status(const std::string&)>& error);

  // The index points into the words, so they live behind one pointer and copies share them.
  std::shared_ptr<const std::vector<std::string>> words_;
  std::shared_ptr<const absl::flat_hash_map<std::string_view, TokenId>> index_;
  TokenId unknown_id_ = 0;
  TokenId end_of_sentence_id_ = 0;
};

}  // namespace bitlm
