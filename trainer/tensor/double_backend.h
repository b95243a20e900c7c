// DoubleBackend: the interface of FastBackend in double precision with plain loops, for gradient
// checks.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "engine/base/thread_pool.h"
#include "trainer/tensor/elementwise.h"

namespace bitlm::trainer {

class DoubleBackend {
 public:
  using Real = double;

  struct Left {
    int64_t rows = 0, cols = 0;
    std::vector<double> values;  // [rows, cols]
  };
  using Right = Left;

  explicit DoubleBackend(ThreadPool* pool) : pool_(pool) {}
  ThreadPool* pool() const { return pool_; }

  Left MakeLeft(int64_t rows, int64_t cols) const {
    return {rows, cols, std::vector<double>(static_cast<size_t>(rows * cols))};
  }
  Right MakeRight(int64_t rows, int64_t cols) const { return MakeLeft(rows, cols); }

  void SetLeftRows(const double* src, int64_t rows, int64_t stride, const double* column_scale,
                   int64_t row, Left* left) const {
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = 0; c < left->cols; ++c) {
        At(*left, row + r, c) =
            src[r * stride + c] * (column_scale == nullptr ? 1.0 : column_scale[c]);
      }
    }
  }
  void SetLeftTransposed(const double* src, int64_t rows, int64_t stride, Left* left) const {
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = 0; c < left->rows; ++c) At(*left, c, r) = src[r * stride + c];
    }
  }
  void SetRight(const double* src, int64_t stride, Encode encode, const double* column_scale,
                Right* right) const {
    for (int64_t r = 0; r < right->rows; ++r) {
      for (int64_t c = 0; c < right->cols; ++c) {
        At(*right, r, c) = Encoded(src[r * stride + c], encode) *
                           (column_scale == nullptr ? 1.0 : column_scale[c]);
      }
    }
  }
  void SetRightTransposed(const double* src, int64_t stride, Encode encode, Right* right) const {
    for (int64_t r = 0; r < right->rows; ++r) {
      for (int64_t c = 0; c < right->cols; ++c)
        At(*right, r, c) = Encoded(src[c * stride + r], encode);
    }
  }

  void SetRightFromColumns(const Right& from, int64_t column, Right* right) const {
    for (int64_t r = 0; r < right->rows; ++r) {
      for (int64_t c = 0; c < right->cols; ++c) {
        At(*right, r, c) = from.values[static_cast<size_t>(c * from.cols + column + r)];
      }
    }
  }

  void Multiply(const Left& a, int64_t row, int64_t rows, const Right& b, int64_t column,
                int64_t cols, double* c, int64_t c_stride, bool accumulate) const {
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t j = 0; j < cols; ++j) {
        double sum = accumulate ? c[r * c_stride + j] : 0.0;
        for (int64_t k = 0; k < a.cols; ++k) {
          sum += a.values[static_cast<size_t>((row + r) * a.cols + k)] *
                 b.values[static_cast<size_t>(k * b.cols + column + j)];
        }
        c[r * c_stride + j] = sum;
      }
    }
  }
  void MultiplyAll(const Left& a, const Right& b, double* c, int64_t c_stride,
                   bool accumulate) const {
    Multiply(a, 0, a.rows, b, 0, b.cols, c, c_stride, accumulate);
  }

  void ExpTile(const double* logits, int64_t rows, int64_t cols, double* sums, int64_t column,
               int64_t row, Left* plain, Right* packed) const {
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = 0; c < cols; ++c) {
        const double e = std::exp(std::clamp(logits[r * cols + c], -80.0, 80.0));
        sums[r] += e;
        if (plain == nullptr) continue;
        plain->values[static_cast<size_t>(r * cols + c)] = e;
        At(*packed, row + r, column + c) = e;
      }
    }
  }
  void SetRightEntry(int64_t row, int64_t column, double value, Right* right) const {
    At(*right, row, column) = value;
  }
  void AddRightRow(const Right& right, int64_t row, double factor, double* out) const {
    for (int64_t c = 0; c < right.cols; ++c)
      out[c] += factor * right.values[static_cast<size_t>(row * right.cols + c)];
  }

 private:
  static double& At(Left& m, int64_t r, int64_t c) {
    return m.values[static_cast<size_t>(r * m.cols + c)];
  }
  static double Encoded(double x, Encode encode) {
    return encode == Encode::kValue ? x : x > 0 ? 1.0 : -1.0;
  }

  ThreadPool* pool_;
};

}  // namespace bitlm::trainer
