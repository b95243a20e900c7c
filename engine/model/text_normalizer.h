// Text to words: the normalization that a model's config names, then white space.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/model/model_config.h"

namespace bitlm {

// Splits `text` into words. Words are separated by ASCII white space (space, \t, \n, \r, \v, \f).
//
// kNone: words as they stand.
//
// kLowercaseNoPunctuation, made for text such as the Gutenberg corpus (a-z and the apostrophe),
// with the categories and simple lower-case mappings of Unicode 14 (unicode_tables.h):
//   - letters to lower case; digits and combining marks stay;
//   - apostrophes (' ` U+00B4 U+02BC U+2018 U+2019 U+201B U+FF07) become ' between two letters or
//     digits, and are dropped at the ends of a word;
//   - hyphens, dashes, minus, / \ | _, ellipses (U+2026, two or more full stops) and all Unicode
//     white space separate words;
//   - all other punctuation, symbols, and control and format characters are dropped: "U.S." is
//   "us".
//
// Errors: INVALID_ARGUMENT when `text` is not valid UTF-8 or contains NUL, with the byte offset;
// never the text itself.
absl::StatusOr<std::vector<std::string>> SplitWords(std::string_view text,
                                                    NormalizationKind normalization);

// The byte offset of the first byte that is not part of valid UTF-8 (RFC 3629: no surrogates, no
// overlong forms, at most U+10FFFF), or npos.
size_t FindInvalidUtf8(std::string_view text);

}  // namespace bitlm
