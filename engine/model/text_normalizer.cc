#include "engine/model/text_normalizer.h"

#include <utility>

#include "absl/strings/str_format.h"
#include "engine/model/unicode_tables.h"
#include "engine/model/utf8.h"

namespace bitlm {
namespace {

bool IsAsciiSpace(char32_t c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

// White space outside ASCII (Unicode property White_Space) and the zero-width space.
bool IsWideSpace(char32_t c) {
  switch (c) {
    case 0x85:
    case 0xA0:
    case 0x1680:
    case 0x2028:
    case 0x2029:
    case 0x202F:
    case 0x205F:
    case 0x3000:
      return true;
    default:
      return c >= 0x2000 && c <= 0x200B;
  }
}

// What people and keyboards write for an apostrophe: ' ` ´ ʼ ‘ ’ ‛ and the full-width one.
bool IsApostrophe(char32_t c) {
  switch (c) {
    case '\'':
    case '`':
    case 0xB4:
    case 0x2BC:
    case 0x2018:
    case 0x2019:
    case 0x201B:
    case 0xFF07:
      return true;
    default:
      return false;
  }
}

// Punctuation that stands between words: hyphens, dashes, minus, slashes, underscore, ellipsis.
bool IsSeparator(char32_t c) {
  switch (c) {
    case '-':
    case '/':
    case '\\':
    case '|':
    case '_':
    case 0x58A:   // Armenian hyphen
    case 0x5BE:   // Hebrew maqaf
    case 0x2026:  // …
    case 0x2043:  // hyphen bullet
    case 0x2044:  // fraction slash
    case 0x2212:  // minus
    case 0x2E3A:  // two-em dash
    case 0x2E3B:  // three-em dash
    case 0xFE58:  // small em dash
    case 0xFE63:  // small hyphen-minus
    case 0xFF0D:  // full-width hyphen-minus
      return true;
    default:
      return c >= 0x2010 && c <= 0x2015;
  }
}

enum class CharClass { kWord, kSpace, kApostrophe, kDropped };

struct Classified {
  CharClass kind;
  char32_t value = 0;  // Of kWord: in lower case.
};

Classified Classify(char32_t c) {
  if (IsAsciiSpace(c) || IsSeparator(c)) return {CharClass::kSpace};
  if (IsApostrophe(c)) return {CharClass::kApostrophe};
  if (c < 0x80) {
    if (c >= 'A' && c <= 'Z') return {CharClass::kWord, c + ('a' - 'A')};
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) return {CharClass::kWord, c};
    return {CharClass::kDropped};
  }
  if (IsWideSpace(c)) return {CharClass::kSpace};
  if (IsPunctuationOrSymbol(c)) return {CharClass::kDropped};
  return {CharClass::kWord, ToLower(c)};
}

absl::Status InvalidUtf8(size_t offset) {
  return absl::InvalidArgumentError(absl::StrFormat("not valid UTF-8 at byte %d", offset));
}

std::vector<std::string> SplitAtSpace(std::string_view text) {
  std::vector<std::string> words;
  size_t i = 0;
  while (i < text.size()) {
    while (i < text.size() && IsAsciiSpace(static_cast<unsigned char>(text[i]))) ++i;
    const size_t start = i;
    while (i < text.size() && !IsAsciiSpace(static_cast<unsigned char>(text[i]))) ++i;
    if (i > start) words.emplace_back(text.substr(start, i - start));
  }
  return words;
}

// `text` is valid UTF-8.
std::vector<std::string> SplitLowercaseNoPunctuation(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  bool apostrophe = false;  // Seen since the word's last letter: kept if another letter follows.
  int points = 0;           // Full stops in a row: two or more are an ellipsis.
  const auto finish_word = [&] {
    if (!word.empty()) words.push_back(std::exchange(word, {}));
    apostrophe = false;
  };
  for (size_t i = 0; i < text.size();) {
    const DecodedCodePoint decoded = DecodeUtf8(text, i);
    i += decoded.bytes;
    points = decoded.value == '.' ? points + 1 : 0;
    if (points == 2) finish_word();
    const Classified c = Classify(decoded.value);
    switch (c.kind) {
      case CharClass::kWord:
        if (apostrophe && !word.empty()) word.push_back('\'');
        apostrophe = false;
        AppendUtf8(c.value, &word);
        break;
      case CharClass::kSpace:
        finish_word();
        break;
      case CharClass::kApostrophe:
        apostrophe = true;
        break;
      case CharClass::kDropped:
        break;
    }
  }
  finish_word();
  return words;
}

}  // namespace

size_t FindInvalidUtf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    if (static_cast<unsigned char>(text[i]) < 0x80) {
      ++i;
      continue;
    }
    const DecodedCodePoint decoded = DecodeUtf8(text, i);
    if (decoded.bytes == 0) return i;
    i += decoded.bytes;
  }
  return std::string_view::npos;
}

absl::StatusOr<std::vector<std::string>> SplitWords(std::string_view text,
                                                    NormalizationKind normalization) {
  if (const size_t offset = FindInvalidUtf8(text); offset != std::string_view::npos) {
    return InvalidUtf8(offset);
  }
  if (const size_t offset = text.find('\0'); offset != std::string_view::npos) {
    return absl::InvalidArgumentError(absl::StrFormat("NUL at byte %d", offset));
  }
  switch (normalization) {
    case NormalizationKind::kNone:
      return SplitAtSpace(text);
    case NormalizationKind::kLowercaseNoPunctuation:
      return SplitLowercaseNoPunctuation(text);
  }
  return absl::InternalError("unknown text normalization");
}

}  // namespace bitlm
