#include <algorithm>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "engine/base/status.h"
#include "engine/model/text_normalizer.h"
#include "engine/scoring/sentence_scorer.h"

namespace bitlm {
namespace {

// Text is split in pieces of about this size, to see early that it has too many words.
constexpr size_t kPieceBytes = size_t{1} << 16;

// Whether no word spans this byte, so that the text may be cut before it. (Words may end in other
// places too.)
bool SeparatesWords(char c, NormalizationKind normalization) {
  constexpr std::string_view kSpace = " \t\n\v\f\r";
  constexpr std::string_view kSeparators = "-/\\|_";
  return kSpace.find(c) != std::string_view::npos ||
         (normalization == NormalizationKind::kLowercaseNoPunctuation &&
          kSeparators.find(c) != std::string_view::npos);
}

absl::StatusOr<std::vector<std::string>> SplitAtMost(std::string_view text,
                                                     NormalizationKind normalization,
                                                     size_t max_words) {
  std::vector<std::string> words;
  for (size_t start = 0; start < text.size();) {
    size_t end = std::min(start + kPieceBytes, text.size());
    while (end < text.size() && !SeparatesWords(text[end], normalization)) ++end;
    absl::StatusOr<std::vector<std::string>> piece =
        SplitWords(text.substr(start, end - start), normalization);
    // The pieces before are valid: once more, for the error with the byte's place in all the text.
    if (!piece.ok()) return SplitWords(text.substr(0, end), normalization).status();
    if (piece->size() > max_words - words.size()) {
      return absl::OutOfRangeError(absl::StrFormat("more than %d words", max_words));
    }
    std::move(piece->begin(), piece->end(), std::back_inserter(words));
    start = end;
  }
  return words;
}

}  // namespace

absl::StatusOr<TokenizedSentence> Tokenize(const Model& model, std::string_view text,
                                           size_t max_words) {
  TokenizedSentence sentence;
  BITLM_ASSIGN_OR_RETURN(sentence.words, SplitAtMost(text, model.config.normalization, max_words));
  sentence.tokens.reserve(sentence.words.size());
  sentence.oov.reserve(sentence.words.size());
  for (size_t i = 0; i < sentence.words.size(); ++i) {
    const std::string& word = sentence.words[i];
    if (word == kEndOfSentence || word == "<s>") {
      return absl::InvalidArgumentError(absl::StrFormat(
          "word %d is the sentence mark \"%s\"; sentence marks are added by the scorer", i + 1,
          word));
    }
    const bool oov = word == kUnknownWord || !model.vocabulary.Contains(word);
    sentence.tokens.push_back(oov ? model.vocabulary.unknown_id() : model.vocabulary.Find(word));
    sentence.oov.push_back(oov);
  }
  return sentence;
}

absl::StatusOr<std::string> NormalizePrefix(const Model& model, std::string_view text) {
  // What the word becomes when a letter follows that stays as it is.
  constexpr char kLetter = 'x';
  absl::StatusOr<std::vector<std::string>> words =
      SplitAtMost(std::string(text) + kLetter, model.config.normalization, 1);
  if (absl::IsOutOfRange(words.status())) {
    return absl::InvalidArgumentError("more than the beginning of one word");
  }
  BITLM_RETURN_IF_ERROR(words.status());
  std::string& prefix = words->front();
  prefix.pop_back();
  return std::move(prefix);
}

}  // namespace bitlm
