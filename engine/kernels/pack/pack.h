// Packing of weight matrices from the file's row-major layout into panels (panel.h).
#pragma once

#include <cstddef>
#include <cstdint>

namespace bitlm {

// Words of a binary matrix in panels: ceil(rows / 16) * ceil(columns / 4).
size_t BinaryPanelWords(size_t rows, size_t columns);
// Floats of a float matrix in panels: ceil(rows / 16) * 16 * columns.
size_t FloatPanelValues(size_t rows, size_t columns);

// Packs `packed` [rows, ceil(columns / 8)] (bit j of byte k of a row = column 8k + j, 1 = +1) into
// `panels` [ceil(rows / 16)][ceil(columns / 4)]. Rows and columns beyond the matrix become 0 bits.
void PackBinaryPanels(const uint8_t* packed, size_t rows, size_t columns, uint64_t* panels);

// Words of a binary matrix in sign panels: ceil(rows / 16) * ceil(columns / 64) * 16.
size_t SignPanelWords(size_t rows, size_t columns);
// Packs the same into `panels` [ceil(rows / 16)][ceil(columns / 64)][16], 0 bits beyond.
void PackSignPanels(const uint8_t* packed, size_t rows, size_t columns, uint64_t* panels);
// One row of the file's packed layout as `bits` [ceil(columns / 64)], 0 beyond.
void CopySignBits(const uint8_t* packed_row, size_t columns, uint64_t* bits);

// Bytes of an int8 matrix in panels: ceil(rows / 16) * ceil(columns / 4) * 64.
size_t Int8PanelBytes(size_t rows, size_t columns);
// Packs `values` [rows, columns] plus 128 into `panels` [ceil(rows / 16)][ceil(columns /
// 4)][16][4]; 128 beyond.
void PackInt8Panels(const int8_t* values, size_t rows, size_t columns, uint8_t* panels);

// Packs `values` [rows, columns] into `panels` [ceil(rows / 16)][columns][16]; rows beyond the
// matrix become 0.
void PackFloatPanels(const float* values, size_t rows, size_t columns, float* panels);

}  // namespace bitlm
