// CpuWeights: a model's tensors in the layouts that the CPU kernels read, one copy of each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/base/aligned_buffer.h"
#include "engine/model/model.h"

namespace bitlm {

// The matrix of a product, in panels of 16 rows (kernels/panel.h). kind is kFloat, kInt8 or
// kBinary, or kNone for an absent layer.
struct PackedMatrix {
  MatrixKind kind = MatrixKind::kNone;
  size_t rows = 0;
  size_t columns = 0;
  AlignedBuffer<float> floats;  // kFloat: [row_panels][columns][16].
  // kBinary, by bit planes: [row_panels][groups], or, for inputs that are signs, too,
  // [row_panels][words][16].
  AlignedBuffer<uint64_t> words;
  size_t planes = 1;
  bool sign_inputs = false;
  AlignedBuffer<uint8_t> int8s;  // kInt8: [row_panels][groups][16][4], 128 added.

  const uint64_t* Plane(size_t plane) const {
    return words.data() + plane * (words.size() / planes);
  }
  // One row: the values of a float matrix, or a plane's bits of a binary one without sign_inputs.
  void FloatRow(size_t row, float* values) const;
  void BitRow(size_t plane, size_t row, uint64_t* bits) const;
  size_t row_panels() const;
  size_t groups() const;  // Of four columns.
  uint64_t bytes() const;
};

// A lookup table, in the file's row-major layout; or nothing but its scale when the output matrix
// is tied to it and holds the values.
struct EmbeddingTable {
  MatrixKind kind = MatrixKind::kNone;
  size_t columns = 0;
  AlignedBuffer<float> floats;  // kFloat: [V, E].
  AlignedBuffer<uint8_t> bits;  // kBinary: [planes][V, ceil(E / 8)].
  AlignedBuffer<float> scales;  // kBinary: [planes].
  bool tied = false;

  uint64_t bytes() const;
};

// A linear layer; row vectors have 16 * row_panels values.
struct LinearWeights {
  PackedMatrix matrix;
  AlignedBuffer<float> row_scales;  // kBinary: a row vector for each plane.
  AlignedBuffer<float> bias;

  uint64_t bytes() const;
};

struct LstmWeights {
  PackedMatrix x;  // [4H, input].
  PackedMatrix h;  // [4H, H].
  // kBinary: of the rows of both; or, with a scale a matrix or with gains, of the rows of x, and
  // those of h. kInt8: the latter. A row vector for each plane.
  AlignedBuffer<float> row_scales;
  AlignedBuffer<float> h_row_scales;  // Empty where row_scales serves both.
  AlignedBuffer<float> bias;
  // Layer norm, else empty: of the products with x and h [4H], and of c [H].
  AlignedBuffer<float> x_gain, h_gain, c_gain, c_shift;

  bool normalizes() const { return c_gain.size() > 0; }
  uint64_t bytes() const;
};

struct OutputWeights {
  PackedMatrix matrix;          // [V, E].
  AlignedBuffer<float> scales;  // kBinary: [planes].
  AlignedBuffer<float> bias;    // Empty without output_bias.

  uint64_t bytes() const;
};

struct CpuWeights {
  EmbeddingTable embedding;
  LinearWeights input_projection;
  std::vector<LstmWeights> lstm;
  LinearWeights output_projection;
  OutputWeights output;

  // E values of a token's row of the input table: floats, or +scale and -scale, planes added up.
  void EmbeddingRow(TokenId token, float* values) const;
  // Of a binary table's plane: the row's signs, [ceil(E / 64)] as CopySignBits writes them.
  void EmbeddingBits(TokenId token, size_t plane, uint64_t* bits) const;

  // Bytes of everything above.
  uint64_t bytes() const;
};

// Packs the tensors of a servable model. Errors: DATA_LOSS when a float value is not finite, naming
// the tensor and the index.
absl::StatusOr<CpuWeights> PackWeights(const Model& model);

}  // namespace bitlm
