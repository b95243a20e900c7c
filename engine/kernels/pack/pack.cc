#include "engine/kernels/pack/pack.h"

#include <algorithm>
#include <vector>

#include "engine/kernels/panel.h"

namespace bitlm {

size_t BinaryPanelWords(size_t rows, size_t columns) {
  return CeilDiv(rows, kPanelRows) * CeilDiv(columns, kGroupColumns);
}

size_t FloatPanelValues(size_t rows, size_t columns) { return RoundUp(rows, kPanelRows) * columns; }

void PackBinaryPanels(const uint8_t* packed, size_t rows, size_t columns, uint64_t* panels) {
  const size_t row_bytes = CeilDiv(columns, 8);
  const size_t groups = CeilDiv(columns, kGroupColumns);
  std::fill(panels, panels + BinaryPanelWords(rows, columns), uint64_t{0});
  for (size_t row = 0; row < rows; ++row) {
    const uint8_t* bytes = packed + row * row_bytes;
    uint64_t* panel = panels + row / kPanelRows * groups;
    const unsigned shift = static_cast<unsigned>(row % kPanelRows * kGroupColumns);
    for (size_t column = 0; column < columns; ++column) {
      const uint64_t bit = (bytes[column / 8] >> (column % 8)) & 1;
      panel[column / kGroupColumns] |= bit << (shift + column % kGroupColumns);
    }
  }
}

size_t SignPanelWords(size_t rows, size_t columns) {
  return RoundUp(rows, kPanelRows) * CeilDiv(columns, kWordColumns);
}

void PackSignPanels(const uint8_t* packed, size_t rows, size_t columns, uint64_t* panels) {
  const size_t words = CeilDiv(columns, kWordColumns);
  std::fill(panels, panels + SignPanelWords(rows, columns), uint64_t{0});
  std::vector<uint64_t> bits(words);
  for (size_t row = 0; row < rows; ++row) {
    CopySignBits(packed + row * CeilDiv(columns, 8), columns, bits.data());
    uint64_t* panel = panels + row / kPanelRows * words * kPanelRows + row % kPanelRows;
    for (size_t i = 0; i < words; ++i) panel[i * kPanelRows] = bits[i];
  }
}

void CopySignBits(const uint8_t* packed_row, size_t columns, uint64_t* bits) {
  for (size_t i = 0; i < CeilDiv(columns, kWordColumns); ++i) {
    const size_t count = std::min(kWordColumns, columns - i * kWordColumns);
    bits[i] = 0;
    for (size_t byte = 0; byte < CeilDiv(count, 8); ++byte) {
      bits[i] |= uint64_t{packed_row[8 * i + byte]} << (8 * byte);
    }
    if (count < kWordColumns) bits[i] &= (uint64_t{1} << count) - 1;
  }
}

size_t Int8PanelBytes(size_t rows, size_t columns) {
  return RoundUp(rows, kPanelRows) * RoundUp(columns, kGroupColumns);
}

void PackInt8Panels(const int8_t* values, size_t rows, size_t columns, uint8_t* panels) {
  const size_t groups = CeilDiv(columns, kGroupColumns);
  std::fill(panels, panels + Int8PanelBytes(rows, columns), uint8_t{128});
  for (size_t row = 0; row < rows; ++row) {
    for (size_t k = 0; k < columns; ++k) {
      const size_t unit = (row / kPanelRows * groups + k / kGroupColumns) * kPanelRows;
      panels[(unit + row % kPanelRows) * kGroupColumns + k % kGroupColumns] =
          static_cast<uint8_t>(values[row * columns + k] + 128);
    }
  }
}

void PackFloatPanels(const float* values, size_t rows, size_t columns, float* panels) {
  std::fill(panels, panels + FloatPanelValues(rows, columns), 0.0f);
  for (size_t row = 0; row < rows; ++row) {
    float* panel = panels + row / kPanelRows * kPanelRows * columns + row % kPanelRows;
    for (size_t column = 0; column < columns; ++column) {
      panel[column * kPanelRows] = values[row * columns + column];
    }
  }
}

}  // namespace bitlm
