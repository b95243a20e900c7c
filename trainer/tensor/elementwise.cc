#include "trainer/tensor/elementwise.h"

#include <algorithm>
#include <cmath>

#include "trainer/tensor/math.h"

namespace bitlm::trainer {
namespace {

BITLM_ALWAYS_INLINE uint16_t SignBits(float x) { return x > 0.0f ? 0x3f80 : 0xbf80; }

template <Encode encode>
BITLM_ALWAYS_INLINE uint16_t Encoded(float x) {
  if constexpr (encode == Encode::kSign) return SignBits(x);
  return ToBfloat16(x);
}

BITLM_ALWAYS_INLINE uint32_t Pair(uint16_t low, uint16_t high) {
  return static_cast<uint32_t>(low) | (static_cast<uint32_t>(high) << 16);
}

// One row pair, up to 64 columns; missing columns become 0.
template <Encode encode, bool scaled>
BITLM_ALWAYS_INLINE void PackPair(const float* a, const float* b, const float* scale, int64_t cols,
                                  uint32_t* dst) {
  for (int64_t j = 0; j < cols; ++j) {
    const float s = scaled ? scale[j] : 1.0f;
    const uint16_t low = Encoded<encode>(scaled ? a[j] * s : a[j]);
    const uint16_t high = b == nullptr ? 0 : Encoded<encode>(scaled ? b[j] * s : b[j]);
    dst[j] = Pair(low, high);
  }
  for (int64_t j = cols; j < kPackColumns; ++j) dst[j] = 0;
}

template <Encode encode, bool scaled>
BITLM_ALWAYS_INLINE void PackRows(const float* src, int64_t rows, int64_t cols, int64_t stride,
                                  const float* scale, int64_t row_block, int64_t row_blocks,
                                  uint16_t* packed) {
  for (int64_t c = 0; c < cols; c += kPackColumns) {
    const int64_t width = std::min(kPackColumns, cols - c);
    auto* dst = reinterpret_cast<uint32_t*>(packed) +
                ((c / kPackColumns) * row_blocks + row_block) * (kPackRows / 2) * kPackColumns;
    for (int64_t r = 0; r < kPackRows; r += 2, dst += kPackColumns) {
      if (r >= rows) {
        std::fill(dst, dst + kPackColumns, 0u);
        continue;
      }
      const float* a = src + r * stride + c;
      PackPair<encode, scaled>(a, r + 1 < rows ? a + stride : nullptr,
                               scale == nullptr ? nullptr : scale + c, width, dst);
    }
  }
}

template <Encode encode>
BITLM_ALWAYS_INLINE void PackTransposed(const float* src, int64_t n, int64_t k, int64_t stride,
                                        int64_t column_block, uint16_t* packed) {
  const int64_t row_blocks = (k + kPackRows - 1) / kPackRows;
  const int64_t first = column_block * kPackColumns;
  const int64_t width = std::min(kPackColumns, n - first);
  auto* base = reinterpret_cast<uint32_t*>(packed) +
               column_block * row_blocks * (kPackRows / 2) * kPackColumns;
  // A cache line of each column at a time: read again for every pair, lines `stride` apart would
  // have thrown each other out of the cache.
  constexpr int64_t kPairs = 8;
  static_assert(kPackRows % (2 * kPairs) == 0);
  const int64_t pairs = row_blocks * kPackRows / 2;
  for (int64_t p = 0; p < pairs; p += kPairs) {
    uint32_t* dst = base + p * kPackColumns;
    const int64_t rows = std::clamp<int64_t>(k - 2 * p, 0, 2 * kPairs);
    for (int64_t j = 0; j < width; ++j) {
      const float* column = src + (first + j) * stride + 2 * p;
      uint32_t line[kPairs] = {};
      if (rows == 2 * kPairs) {
        for (int64_t i = 0; i < kPairs; ++i)
          line[i] = Pair(Encoded<encode>(column[2 * i]), Encoded<encode>(column[2 * i + 1]));
      } else {
        for (int64_t i = 0; i < rows; ++i)
          line[i / 2] |= static_cast<uint32_t>(Encoded<encode>(column[i])) << (i % 2 * 16);
      }
      for (int64_t i = 0; i < kPairs; ++i) dst[i * kPackColumns + j] = line[i];
    }
    for (int64_t i = 0; i < kPairs; ++i)
      std::fill(dst + i * kPackColumns + width, dst + (i + 1) * kPackColumns, 0u);
  }
}

}  // namespace

BITLM_CLONES
void ToBfloat16Rows(const float* src, int64_t rows, int64_t cols, int64_t stride,
                    const float* scale, uint16_t* dst, int64_t dst_stride) {
  for (int64_t r = 0; r < rows; ++r) {
    const float* from = src + r * stride;
    uint16_t* to = dst + r * dst_stride;
    if (scale == nullptr) {
      for (int64_t c = 0; c < cols; ++c) to[c] = ToBfloat16(from[c]);
    } else {
      for (int64_t c = 0; c < cols; ++c) to[c] = ToBfloat16(from[c] * scale[c]);
    }
  }
}

BITLM_CLONES
void ToBfloat16Transposed(const float* src, int64_t rows, int64_t cols, int64_t stride,
                          uint16_t* dst, int64_t dst_stride) {
  constexpr int64_t kBlock = 16;
  for (int64_t r0 = 0; r0 < rows; r0 += kBlock) {
    const int64_t r1 = std::min(rows, r0 + kBlock);
    for (int64_t c = 0; c < cols; ++c) {
      uint16_t* to = dst + c * dst_stride;
      for (int64_t r = r0; r < r1; ++r) to[r] = ToBfloat16(src[r * stride + c]);
    }
  }
}

BITLM_CLONES
void PackRowBlock(const float* src, int64_t rows, int64_t cols, int64_t stride, Encode encode,
                  const float* scale, int64_t row_block, int64_t row_blocks, uint16_t* packed) {
  if (encode == Encode::kSign) {
    PackRows<Encode::kSign, false>(src, rows, cols, stride, nullptr, row_block, row_blocks, packed);
  } else if (scale == nullptr) {
    PackRows<Encode::kValue, false>(src, rows, cols, stride, nullptr, row_block, row_blocks,
                                    packed);
  } else {
    PackRows<Encode::kValue, true>(src, rows, cols, stride, scale, row_block, row_blocks, packed);
  }
}

BITLM_CLONES
void PackTransposedColumnBlock(const float* src, int64_t n, int64_t k, int64_t stride,
                               Encode encode, int64_t column_block, uint16_t* packed) {
  if (encode == Encode::kSign) {
    PackTransposed<Encode::kSign>(src, n, k, stride, column_block, packed);
  } else {
    PackTransposed<Encode::kValue>(src, n, k, stride, column_block, packed);
  }
}

BITLM_CLONES
void TransposePackedRowBlock(const uint16_t* from, int64_t k, int64_t column, int64_t row_block,
                             int64_t row_blocks, uint16_t* to) {
  constexpr int64_t kBlock = kPackRows * kPackColumns;
  constexpr int64_t kPairs = kPackRows / 2;
  constexpr int64_t kFours = kPackColumns / 2;  // Groups of four values in a row pair of a block.
  const int64_t from_blocks = (k + kPackRows - 1) / kPackRows;
  const int64_t first = column + row_block * kPackRows;  // The column that becomes row 0.
  // Four values stand together: rows e, e + 1 of column v, and the same of column v + 1. In the
  // transpose they are columns e, e + 1 of the row pair (v, v + 1), and stand together, too.
  for (int64_t source = 0; source < (from_blocks + 1) / 2 * 2; ++source) {
    auto* dst = reinterpret_cast<uint64_t*>(to + (source / 2 * row_blocks + row_block) * kBlock) +
                source % 2 * kPairs;
    if (source >= from_blocks) {
      for (int64_t p = 0; p < kPairs; ++p) std::fill_n(dst + p * kFours, kPairs, uint64_t{0});
      continue;
    }
    const auto* src = reinterpret_cast<const uint64_t*>(
        from + (first / kPackColumns * from_blocks + source) * kBlock + first % kPackColumns * 2);
    for (int64_t p = 0; p < kPairs; ++p) {
      for (int64_t i = 0; i < kPairs; ++i) {
        const uint64_t four = src[i * kFours + p];
        dst[p * kFours + i] = (four & 0xffff00000000ffffull) | ((four >> 16) & 0xffff0000ull) |
                              ((four << 16) & 0xffff00000000ull);
      }
    }
  }
}

namespace {

constexpr int kLanes =
    16;  // Independent partial sums, so that loops vectorize without reassociation.

BITLM_ALWAYS_INLINE float ClampedExp(float x) {
  return Exp(x < -80.0f ? -80.0f : x > 80.0f ? 80.0f : x);
}

BITLM_ALWAYS_INLINE void AddLanes(const float* lanes, double* sum) {
  float total = 0;
  for (int l = 0; l < kLanes; ++l) total += lanes[l];
  *sum += static_cast<double>(total);
}

BITLM_ALWAYS_INLINE void ExpSum(const float* row, int64_t cols, double* sum) {
  float lanes[kLanes] = {};
  const int64_t whole = cols / kLanes * kLanes;
  for (int64_t c = 0; c < whole; c += kLanes) {
    for (int l = 0; l < kLanes; ++l) lanes[l] += ClampedExp(row[c + l]);
  }
  for (int64_t c = whole; c < cols; ++c) lanes[c - whole] += ClampedExp(row[c]);
  AddLanes(lanes, sum);
}

// 64 columns of two rows, of which `width` are there.
BITLM_ALWAYS_INLINE void ExpPair(const float* a, const float* b, int64_t width, float* lanes_a,
                                 float* lanes_b, uint16_t* plain_a, uint16_t* plain_b,
                                 uint32_t* packed) {
  float ea[kPackColumns];
  float eb[kPackColumns];
  for (int64_t j = 0; j < width; ++j) ea[j] = ClampedExp(a[j]);
  for (int64_t j = 0; j < width; ++j) eb[j] = ClampedExp(b[j]);
  for (int64_t j = width; j < kPackColumns; ++j) ea[j] = eb[j] = 0;
  for (int64_t j = 0; j < kPackColumns; j += kLanes) {
    for (int l = 0; l < kLanes; ++l) lanes_a[l] += ea[j + l];
    for (int l = 0; l < kLanes; ++l) lanes_b[l] += eb[j + l];
  }
  for (int64_t j = 0; j < kPackColumns; ++j) packed[j] = Pair(ToBfloat16(ea[j]), ToBfloat16(eb[j]));
  for (int64_t j = 0; j < width; ++j) plain_a[j] = ToBfloat16(ea[j]);
  for (int64_t j = 0; j < width; ++j) plain_b[j] = ToBfloat16(eb[j]);
}

}  // namespace

BITLM_CLONES
void ExpTile(const float* logits, int64_t rows, int64_t cols, double* sums, uint16_t* plain,
             uint16_t* packed, int64_t first_column, int64_t row_block, int64_t row_blocks) {
  if (plain == nullptr) {
    for (int64_t r = 0; r < rows; ++r) ExpSum(logits + r * cols, cols, sums + r);
    return;
  }
  for (int64_t r = 0; r < rows; r += 2) {
    const float* a = logits + r * cols;
    uint16_t* to = plain + r * cols;
    const int64_t block = row_block + r / kPackRows;
    const int64_t pair = (r % kPackRows) / 2;
    float lanes_a[kLanes] = {};
    float lanes_b[kLanes] = {};
    for (int64_t c = 0; c < cols; c += kPackColumns) {
      auto* dst =
          reinterpret_cast<uint32_t*>(packed) +
          ((((first_column + c) / kPackColumns) * row_blocks + block) * (kPackRows / 2) + pair) *
              kPackColumns;
      ExpPair(a + c, a + cols + c, std::min(kPackColumns, cols - c), lanes_a, lanes_b, to + c,
              to + cols + c, dst);
    }
    AddLanes(lanes_a, sums + r);
    AddLanes(lanes_b, sums + r + 1);
  }
}

BITLM_CLONES
double SumOfSquares(const float* x, int64_t n) {
  double total = 0;
  int64_t i = 0;
  while (i < n) {
    const int64_t end = std::min(n, i + 4096);
    float lanes[kLanes] = {};
    for (; i + kLanes <= end; i += kLanes) {
      for (int l = 0; l < kLanes; ++l) lanes[l] += x[i + l] * x[i + l];
    }
    float sum = 0;
    for (; i < end; ++i) sum += x[i] * x[i];
    for (int l = 0; l < kLanes; ++l) sum += lanes[l];
    total += sum;
  }
  return total;
}

}  // namespace bitlm::trainer
