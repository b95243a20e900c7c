// The panel layout of weight matrices: 16 rows side by side, so that a vector lane is a row and no
// product needs a sum across lanes. Every variant reads the same layout; a loaded model holds its
// weights in this form only.
#pragma once

#include <cstddef>

namespace bitlm {

inline constexpr size_t kPanelRows = 16;
// Columns of a packed binary group: one 64-bit word holds 16 rows x 4 columns, bit 4 * row + column
// (the byte order of a vector register that multiplies four int8 values per 32-bit lane).
inline constexpr size_t kGroupColumns = 4;

// Columns of a word of a sign panel, whose layout is [row_panels][words][16]: bit j of word i of a
// row = column 64 i + j. For products whose two sides are signs.
inline constexpr size_t kWordColumns = 64;

constexpr size_t CeilDiv(size_t n, size_t unit) { return (n + unit - 1) / unit; }
constexpr size_t RoundUp(size_t n, size_t unit) { return CeilDiv(n, unit) * unit; }

}  // namespace bitlm
