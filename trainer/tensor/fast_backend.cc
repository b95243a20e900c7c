#include "trainer/tensor/fast_backend.h"

#include <algorithm>
#include <bit>
#include <map>
#include <oneapi/dnnl/dnnl.hpp>
#include <unordered_map>
#include <utility>

#include "engine/base/cpu_features.h"
#include "trainer/tensor/math.h"
#include "trainer/tensor/one_dnn.h"

namespace bitlm::trainer {
namespace {

using dnnl::memory;

// Rows of a piece of a tall product: with 64 rows the result stays in the second-level cache, and
// the products run fastest.
constexpr int64_t kPieceRows = 64;
// Columns of a piece of a wide product (few rows, as in weight gradients).
constexpr int64_t kPieceColumns = 512;

struct ProductKey {
  int64_t m, k, n;
  bool accumulate;
  auto operator<=>(const ProductKey&) const = default;
};

// Its arguments are given their data before each execution: making memory objects takes tens of
// allocations.
struct Product {
  dnnl::matmul primitive;
  memory a, b, c;
  std::unordered_map<int, memory> arguments;  // The same three.
};

// oneDNN objects of one thread: primitives are cached by shape, and the shapes of a run are few.
struct ThreadState {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  std::map<ProductKey, Product> products;
  AlignedBuffer<float> dense;  // A result before it is copied to its rows.
  ThreadState() { UseOneOpenMpThread(); }
};

ThreadState& State() {
  thread_local ThreadState state;
  return state;
}

Product& FindProduct(ThreadState& state, const ProductKey& key) {
  auto it = state.products.find(key);
  if (it != state.products.end()) return it->second;
  memory::desc a({key.m, key.k}, memory::data_type::bf16, memory::format_tag::ab);
  memory::desc b({key.k, key.n}, memory::data_type::bf16, memory::format_tag::BA16a64b2a);
  memory::desc c({key.m, key.n}, memory::data_type::f32, memory::format_tag::ab);
  dnnl::primitive_attr attributes;
  if (key.accumulate) {
    dnnl::post_ops post;
    post.append_sum(1.0f);
    attributes.set_post_ops(post);
  }
  dnnl::matmul::primitive_desc description(dnnl::matmul::desc(a, b, c), attributes, state.engine);
  const auto make = [&](const memory::desc& of) {
    return memory(of, state.engine, DNNL_MEMORY_NONE);
  };
  Product product{dnnl::matmul(description), make(a), make(b), make(c), {}};
  product.arguments = {
      {DNNL_ARG_SRC, product.a}, {DNNL_ARG_WEIGHTS, product.b}, {DNNL_ARG_DST, product.c}};
  return state.products.emplace(key, std::move(product)).first->second;
}

}  // namespace

Precision BestPrecision() {
  static const bool half = [] {
    if ((cpu::Usable() & (cpu::kAmxBf16 | cpu::kAvx512Bf16)) == 0) return false;
    try {  // DNNL_MAX_CPU_ISA may forbid what the CPU has.
      FindProduct(State(), {.m = 64, .k = 64, .n = 64, .accumulate = false});
      return true;
    } catch (const dnnl::error&) {
      return false;
    }
  }();
  return half ? Precision::kBfloat16 : Precision::kFloat32;
}

FastBackend::Left FastBackend::MakeLeft(int64_t rows, int64_t cols) const {
  Left left{.rows = rows, .cols = cols, .half = {}, .full = {}};
  const auto size = static_cast<size_t>(rows * cols);
  if (precision_ == Precision::kBfloat16) {
    left.half = AlignedBuffer<uint16_t>(size);
  } else {
    left.full = AlignedBuffer<float>(size);
  }
  return left;
}

FastBackend::Right FastBackend::MakeRight(int64_t rows, int64_t cols) const {
  Right right{.rows = rows, .cols = cols, .half = {}, .full = {}};
  if (precision_ == Precision::kBfloat16) {
    right.half = AlignedBuffer<uint16_t>(static_cast<size_t>(PackedElements(rows, cols)));
  } else {
    right.full = AlignedBuffer<float>(static_cast<size_t>(rows * cols));
  }
  return right;
}

void FastBackend::SetLeftRows(const float* src, int64_t rows, int64_t stride,
                              const float* column_scale, int64_t row, Left* left) const {
  const int64_t cols = left->cols;
  if (precision_ == Precision::kBfloat16) {
    ToBfloat16Rows(src, rows, cols, stride, column_scale, left->half.data() + row * cols, cols);
    return;
  }
  for (int64_t r = 0; r < rows; ++r) {
    float* to = left->full.data() + (row + r) * cols;
    const float* from = src + r * stride;
    for (int64_t c = 0; c < cols; ++c)
      to[c] = column_scale == nullptr ? from[c] : from[c] * column_scale[c];
  }
}

void FastBackend::SetLeftTransposed(const float* src, int64_t rows, int64_t stride,
                                    Left* left) const {
  // Pieces of source columns are pieces of result rows: no two threads write one cache line.
  constexpr int64_t kPiece = 64;
  const int64_t cols = left->rows;
  pool_->ParallelFor(static_cast<size_t>((cols + kPiece - 1) / kPiece), [&](size_t piece) {
    const int64_t c0 = static_cast<int64_t>(piece) * kPiece;
    const int64_t width = std::min(kPiece, cols - c0);
    if (precision_ == Precision::kBfloat16) {
      ToBfloat16Transposed(src + c0, rows, width, stride, left->half.data() + c0 * left->cols,
                           left->cols);
      return;
    }
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = c0; c < c0 + width; ++c)
        left->full[static_cast<size_t>(c * left->cols + r)] = src[r * stride + c];
    }
  });
}

void FastBackend::SetRight(const float* src, int64_t stride, Encode encode,
                           const float* column_scale, Right* right) const {
  const int64_t blocks = (right->rows + kPackRows - 1) / kPackRows;
  pool_->ParallelFor(static_cast<size_t>(blocks), [&](size_t block) {
    const int64_t first = static_cast<int64_t>(block) * kPackRows;
    const int64_t rows = std::min(kPackRows, right->rows - first);
    if (precision_ == Precision::kBfloat16) {
      PackRowBlock(src + first * stride, rows, right->cols, stride, encode, column_scale,
                   static_cast<int64_t>(block), blocks, right->half.data());
      return;
    }
    for (int64_t r = first; r < first + rows; ++r) {
      for (int64_t c = 0; c < right->cols; ++c) {
        float value = src[r * stride + c] * (column_scale == nullptr ? 1.0f : column_scale[c]);
        if (encode == Encode::kSign) value = value > 0.0f ? 1.0f : -1.0f;
        right->full[static_cast<size_t>(r * right->cols + c)] = value;
      }
    }
  });
}

void FastBackend::SetRightTransposed(const float* src, int64_t stride, Encode encode,
                                     Right* right) const {
  const int64_t blocks = (right->cols + kPackColumns - 1) / kPackColumns;
  pool_->ParallelFor(static_cast<size_t>(blocks), [&](size_t block) {
    if (precision_ == Precision::kBfloat16) {
      PackTransposedColumnBlock(src, right->cols, right->rows, stride, encode,
                                static_cast<int64_t>(block), right->half.data());
      return;
    }
    const int64_t first = static_cast<int64_t>(block) * kPackColumns;
    const int64_t last = std::min(right->cols, first + kPackColumns);
    for (int64_t r = 0; r < right->rows; ++r) {
      for (int64_t c = first; c < last; ++c) {
        float value = src[c * stride + r];
        if (encode == Encode::kSign) value = value > 0.0f ? 1.0f : -1.0f;
        right->full[static_cast<size_t>(r * right->cols + c)] = value;
      }
    }
  });
}

void FastBackend::SetRightFromColumns(const Right& from, int64_t column, Right* right) const {
  const int64_t blocks = (right->rows + kPackRows - 1) / kPackRows;
  pool_->ParallelFor(static_cast<size_t>(blocks), [&](size_t block) {
    if (precision_ == Precision::kBfloat16) {
      TransposePackedRowBlock(from.half.data(), from.rows, column, static_cast<int64_t>(block),
                              blocks, right->half.data());
      return;
    }
    const int64_t first = static_cast<int64_t>(block) * kPackRows;
    for (int64_t r = first; r < std::min(right->rows, first + kPackRows); ++r) {
      for (int64_t c = 0; c < right->cols; ++c) {
        right->full[static_cast<size_t>(r * right->cols + c)] =
            from.full[static_cast<size_t>(c * from.cols + column + r)];
      }
    }
  });
}

void FastBackend::Multiply(const Left& a, int64_t row, int64_t rows, const Right& b, int64_t column,
                           int64_t cols, float* c, int64_t c_stride, bool accumulate) const {
  if (precision_ == Precision::kFloat32) {
    // A range of columns of the plain layout is a view with the full row stride.
    Sgemm({.m = rows, .n = cols, .k = a.cols, .keep = accumulate ? 1.0f : 0.0f},
          a.full.data() + row * a.cols, a.cols, b.full.data() + column, b.cols, c, c_stride);
    return;
  }
  ThreadState& state = State();
  // oneDNN 2.6 has a fast kernel only for a dense result.
  const bool dense = c_stride == cols;
  const auto size = static_cast<size_t>(rows * cols);
  if (!dense && state.dense.size() < size) state.dense = AlignedBuffer<float>(size);
  float* result = dense ? c : state.dense.data();
  try {
    Product& product =
        FindProduct(state, {.m = rows, .k = a.cols, .n = cols, .accumulate = accumulate && dense});
    const int64_t row_blocks = (b.rows + kPackRows - 1) / kPackRows;
    const auto* a_data = a.half.data() + row * a.cols;
    const auto* b_data =
        b.half.data() + column / kPackColumns * row_blocks * kPackRows * kPackColumns;
    // oneDNN's memory takes mutable pointers for inputs, too.
    product.a.set_data_handle(const_cast<uint16_t*>(a_data));
    product.b.set_data_handle(const_cast<uint16_t*>(b_data));
    product.c.set_data_handle(result);
    product.primitive.execute(state.stream, product.arguments);
    state.stream.wait();
  } catch (const dnnl::error& error) {
    FailProduct(error.what());
  }
  if (dense) return;
  for (int64_t r = 0; r < rows; ++r) {
    float* to = c + r * c_stride;
    const float* from = result + r * cols;
    if (accumulate) {
      for (int64_t j = 0; j < cols; ++j) to[j] += from[j];
    } else {
      std::copy(from, from + cols, to);
    }
  }
}

void FastBackend::MultiplyAll(const Left& a, const Right& b, float* c, int64_t c_stride,
                              bool accumulate) const {
  if (b.cols > a.rows) {
    // Wide: pieces of columns, each of which reads all of A.
    pool_->ParallelFor(static_cast<size_t>((b.cols + kPieceColumns - 1) / kPieceColumns),
                       [&](size_t piece) {
                         const int64_t column = static_cast<int64_t>(piece) * kPieceColumns;
                         Multiply(a, 0, a.rows, b, column, std::min(kPieceColumns, b.cols - column),
                                  c + column, c_stride, accumulate);
                       });
    return;
  }
  pool_->ParallelFor(static_cast<size_t>((a.rows + kPieceRows - 1) / kPieceRows),
                     [&](size_t piece) {
                       const int64_t row = static_cast<int64_t>(piece) * kPieceRows;
                       Multiply(a, row, std::min(kPieceRows, a.rows - row), b, 0, b.cols,
                                c + row * c_stride, c_stride, accumulate);
                     });
}

void FastBackend::ExpTile(const float* logits, int64_t rows, int64_t cols, double* sums,
                          int64_t column, int64_t row, Left* plain, Right* packed) const {
  if (precision_ == Precision::kBfloat16 || plain == nullptr) {
    const bool write = plain != nullptr;
    trainer::ExpTile(logits, rows, cols, sums, write ? plain->half.data() : nullptr,
                     write ? packed->half.data() : nullptr, column, row / kPackRows,
                     write ? (packed->rows + kPackRows - 1) / kPackRows : 0);
    return;
  }
  for (int64_t r = 0; r < rows; ++r) {
    float* to = plain->full.data() + r * cols;
    for (int64_t c = 0; c < cols; ++c) {
      to[c] = Exp(std::clamp(logits[r * cols + c], -80.0f, 80.0f));
      sums[r] += static_cast<double>(to[c]);
    }
    std::copy(to, to + cols, packed->full.data() + (row + r) * packed->cols + column);
  }
}

namespace {

// Where entry (row, column) of a packed right operand of `rows` rows is; the next column is 2
// further on.
int64_t PackedIndex(int64_t rows, int64_t row, int64_t column) {
  const int64_t row_blocks = (rows + kPackRows - 1) / kPackRows;
  return ((column / kPackColumns * row_blocks + row / kPackRows) * (kPackRows / 2) +
          row % kPackRows / 2) *
             2 * kPackColumns +
         column % kPackColumns * 2 + row % 2;
}

}  // namespace

void FastBackend::SetRightEntry(int64_t row, int64_t column, float value, Right* right) const {
  if (precision_ == Precision::kBfloat16) {
    right->half[static_cast<size_t>(PackedIndex(right->rows, row, column))] = ToBfloat16(value);
  } else {
    right->full[static_cast<size_t>(row * right->cols + column)] = value;
  }
}

void FastBackend::AddRightRow(const Right& right, int64_t row, float factor, float* out) const {
  if (precision_ == Precision::kFloat32) {
    const float* from = right.full.data() + row * right.cols;
    for (int64_t c = 0; c < right.cols; ++c) out[c] += factor * from[c];
    return;
  }
  for (int64_t first = 0; first < right.cols; first += kPackColumns) {
    const uint16_t* from = right.half.data() + PackedIndex(right.rows, row, first);
    for (int64_t j = 0; j < std::min(kPackColumns, right.cols - first); ++j) {
      out[first + j] += factor * std::bit_cast<float>(static_cast<uint32_t>(from[2 * j]) << 16);
    }
  }
}

}  // namespace bitlm::trainer
