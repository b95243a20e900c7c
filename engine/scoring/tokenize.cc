#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "engine/base/status.h"
#include "engine/model/text_normalizer.h"
#include "engine/scoring/sentence_scorer.h"

namespace bitlm {

absl::StatusOr<TokenizedSentence> Tokenize(const Model& model, std::string_view text) {
  TokenizedSentence sentence;
  BITLM_ASSIGN_OR_RETURN(sentence.words, SplitWords(text, model.config.normalization));
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

}  // namespace bitlm
