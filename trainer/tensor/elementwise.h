// Loops of the fast backend over float arrays: conversions, packing for products, gates, softmax.
#pragma once

#include <cstddef>
#include <cstdint>

namespace bitlm::trainer {

// How a weight becomes a product's operand.
enum class Encode {
  kValue,  // The value itself.
  kSign,   // +1 if value > 0, else -1 ([LCY18] equation 6).
};

// Layout of a bfloat16 right operand [K, N], the one that oneDNN's bfloat16 products take without a
// copy (BA16a64b2a): [N / 64][K / 32][16][64][2], zero-padded: column block, row block, row pair,
// column, row of the pair.
inline constexpr int64_t kPackColumns = 64;
inline constexpr int64_t kPackRows = 32;
inline int64_t PackedElements(int64_t k, int64_t n) {
  return (k + kPackRows - 1) / kPackRows * kPackRows *
         ((n + kPackColumns - 1) / kPackColumns * kPackColumns);
}

// dst[r, c] = src[r, c] * scale[c] (scale null = 1), rows x cols, as bfloat16.
void ToBfloat16Rows(const float* src, int64_t rows, int64_t cols, int64_t stride,
                    const float* scale, uint16_t* dst, int64_t dst_stride);
// The same, transposed: dst[c, r]. dst has `cols` rows.
void ToBfloat16Transposed(const float* src, int64_t rows, int64_t cols, int64_t stride,
                          uint16_t* dst, int64_t dst_stride);

// Packs one block of 32 rows (from `src`, of which `rows` are there) of all columns of a right
// operand [K, N] whose source is row-major [K, N]. `row_block` counts blocks of 32 rows;
// `row_blocks` is K / 32 rounded up. scale as above, by columns.
void PackRowBlock(const float* src, int64_t rows, int64_t cols, int64_t stride, Encode encode,
                  const float* scale, int64_t row_block, int64_t row_blocks, uint16_t* packed);
// Packs column block `column_block` of a right operand [K, N] whose source is row-major [N, K] (its
// transpose).
void PackTransposedColumnBlock(const float* src, int64_t n, int64_t k, int64_t stride,
                               Encode encode, int64_t column_block, uint16_t* packed);

// From one packed right operand to another: block `row_block` of 32 rows of the transpose of
// columns [column, column + rows) of a right operand `from` [k, …]. `row_blocks` is rows / 32
// rounded up; column is a multiple of 32. Reads and writes whole blocks, where packing from the
// source would read along its columns.
void TransposePackedRowBlock(const uint16_t* from, int64_t k, int64_t column, int64_t row_block,
                             int64_t row_blocks, uint16_t* to);

// One tile of the output softmax. For r < rows, c < cols: e = exp(logits[r, c]), sums[r] += e; with
// `plain` not null, e is also written as bfloat16 to plain[r, c] and to row 32 * row_block + r,
// column first_column + c of the right operand `packed` [32 * row_blocks, V]. rows is a multiple of
// 32 then; first_column is a multiple of 64. Logits are clamped to [-80, 80].
void ExpTile(const float* logits, int64_t rows, int64_t cols, double* sums, uint16_t* plain,
             uint16_t* packed, int64_t first_column, int64_t row_block, int64_t row_blocks);

double SumOfSquares(const float* x, int64_t n);

}  // namespace bitlm::trainer
