// Unicode properties of code points above U+007F that text normalization needs.
#pragma once

#include <cstddef>
#include <cstdint>

namespace bitlm {

// Whether `c` >= U+0080 is punctuation, a symbol, a control, format, private-use or surrogate code
// point, or a number that is not a digit (categories P*, S*, C*, No). Unassigned: false or true, as
// their neighbours; both answers are fixed by the table.
bool IsPunctuationOrSymbol(char32_t c);

// Unicode's simple lower-case mapping of `c` >= U+0080; `c` when it has none.
char32_t ToLower(char32_t c);

}  // namespace bitlm
