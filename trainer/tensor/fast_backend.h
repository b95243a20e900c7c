// FastBackend: float32 parameters, products by oneDNN in bfloat16 where the CPU multiplies
// it (AMX, AVX-512 BF16), in float32 elsewhere.
//
// A backend is what the layers are templated on. It owns the two operand types of a product C = A
// B:
//   Left   A [M, K], row-major: activations and gradients;
//   Right  B [K, N], packed as the products like it: weights, and activations when a weight
//   gradient is computed.
// DoubleBackend (double_backend.h) is the same interface in double precision, for gradient checks.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/base/aligned_buffer.h"
#include "engine/base/thread_pool.h"
#include "trainer/tensor/elementwise.h"

namespace bitlm::trainer {

enum class Precision { kFloat32, kBfloat16 };

// kBfloat16 where AMX or AVX-512 BF16 is usable, kFloat32 elsewhere.
Precision BestPrecision();

class FastBackend {
 public:
  using Real = float;

  struct Left {
    int64_t rows = 0, cols = 0;
    AlignedBuffer<uint16_t> half;  // [rows, cols], bfloat16 precision.
    AlignedBuffer<float> full;     // [rows, cols], float32 precision.
  };
  struct Right {
    int64_t rows = 0, cols = 0;
    AlignedBuffer<uint16_t> half;  // Packed, see elementwise.h.
    AlignedBuffer<float> full;     // [rows, cols].
  };

  // `pool` must outlive the backend; its threads split every operation that is large enough.
  FastBackend(Precision precision, ThreadPool* pool) : precision_(precision), pool_(pool) {}

  Precision precision() const { return precision_; }
  ThreadPool* pool() const { return pool_; }

  Left MakeLeft(int64_t rows, int64_t cols) const;
  Right MakeRight(int64_t rows, int64_t cols) const;

  // Rows [row, row + rows) of `left` = src * column_scale (null = 1), src row-major with `stride`.
  // Not parallel.
  void SetLeftRows(const float* src, int64_t rows, int64_t stride, const float* column_scale,
                   int64_t row, Left* left) const;
  // left = src [rows, cols] transposed. Parallel.
  void SetLeftTransposed(const float* src, int64_t rows, int64_t stride, Left* left) const;
  // right = src [K, N] * column_scale, or its signs. Parallel.
  void SetRight(const float* src, int64_t stride, Encode encode, const float* column_scale,
                Right* right) const;
  // right = src [N, K] transposed, or its signs. Parallel.
  void SetRightTransposed(const float* src, int64_t stride, Encode encode, Right* right) const;

  // right[r, c] = from[c, column + r]: the transpose of a range of columns. column is a multiple
  // of 64. Parallel.
  void SetRightFromColumns(const Right& from, int64_t column, Right* right) const;

  // C[r, c] (+)= A[row + r, :] B[:, column + c] for r < rows, c < cols; `column` is a multiple
  // of 64. Not parallel.
  void Multiply(const Left& a, int64_t row, int64_t rows, const Right& b, int64_t column,
                int64_t cols, float* c, int64_t c_stride, bool accumulate) const;
  // C (+)= A B, split over the pool in pieces that stay in cache. C is [a.rows, b.cols].
  void MultiplyAll(const Left& a, const Right& b, float* c, int64_t c_stride,
                   bool accumulate) const;

  // One tile of the output softmax: e = exp(logits) of [rows, cols] logits, columns [column, column
  // + cols) of the vocabulary. sums[r] += the row's sum. Unless null, `plain` [>= rows, cols]
  // becomes e, and so do rows [row, row + rows) of `packed` in these columns. `row` and `rows` are
  // multiples of 32, `column` of 64.
  void ExpTile(const float* logits, int64_t rows, int64_t cols, double* sums, int64_t column,
               int64_t row, Left* plain, Right* packed) const;
  // right[row, column] = value.
  void SetRightEntry(int64_t row, int64_t column, float value, Right* right) const;
  // out[c] += factor * right[row, c] for all columns.
  void AddRightRow(const Right& right, int64_t row, float factor, float* out) const;

 private:
  Precision precision_;
  ThreadPool* pool_;
};

}  // namespace bitlm::trainer
