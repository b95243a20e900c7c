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
// kLowercaseNoPunctuation: letters to lower case; typographic apostrophes become '; an apostrophe
// is kept inside a word only;
//   hyphens and dashes separate words; all other punctuation and symbols are dropped; digits stay.
//   Made for text such as the Gutenberg corpus (a-z and the apostrophe).
//
// Errors: INVALID_ARGUMENT when `text` is not valid UTF-8 or contains NUL, with the byte offset;
// never the text itself.
absl::StatusOr<std::vector<std::string>> SplitWords(std::string_view text,
                                                    NormalizationKind normalization);

// The byte offset of the first byte that is not part of valid UTF-8 (RFC 3629: no surrogates, no
// overlong forms, at most U+10FFFF), or npos.
size_t FindInvalidUtf8(std::string_view text);

}  // namespace bitlm
