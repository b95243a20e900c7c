#include "engine/kernels/pack/pack.h"

#include <algorithm>

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

void PackFloatPanels(const float* values, size_t rows, size_t columns, float* panels) {
  std::fill(panels, panels + FloatPanelValues(rows, columns), 0.0f);
  for (size_t row = 0; row < rows; ++row) {
    float* panel = panels + row / kPanelRows * kPanelRows * columns + row % kPanelRows;
    for (size_t column = 0; column < columns; ++column) {
      panel[column * kPanelRows] = values[row * columns + column];
    }
  }
}

void UnpackSigns(const uint8_t* packed_row, size_t columns, int8_t* signs) {
  for (size_t column = 0; column < columns; ++column) {
    signs[column] = ((packed_row[column / 8] >> (column % 8)) & 1) != 0 ? 1 : -1;
  }
}

}  // namespace bitlm
