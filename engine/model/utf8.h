// UTF-8 (RFC 3629): decoding and encoding of single code points.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace bitlm {

struct DecodedCodePoint {
  char32_t value = 0;
  size_t bytes = 0;  // 0: not valid UTF-8.
};

// The code point that starts at text[offset]; offset < text.size(). Rejects surrogates, overlong
// forms, and values above U+10FFFF.
DecodedCodePoint DecodeUtf8(std::string_view text, size_t offset);

// Appends the UTF-8 form of a valid code point.
void AppendUtf8(char32_t code_point, std::string* out);

}  // namespace bitlm
