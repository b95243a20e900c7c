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
  const int64_t pairs = row_blocks * kPackRows / 2;
  for (int64_t p = 0; p < pairs; ++p) {
    uint32_t* dst = base + p * kPackColumns;
    const float* column = src + first * stride + 2 * p;
    if (2 * p + 1 < k) {
      for (int64_t j = 0; j < width; ++j) {
        dst[j] = Pair(Encoded<encode>(column[j * stride]), Encoded<encode>(column[j * stride + 1]));
      }
    } else if (2 * p < k) {
      for (int64_t j = 0; j < width; ++j) dst[j] = Pair(Encoded<encode>(column[j * stride]), 0);
    } else {
      std::fill(dst, dst + width, 0u);
    }
    std::fill(dst + width, dst + kPackColumns, 0u);
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

namespace {

// Replaces logits by exp(logit - max) and returns their sum.
BITLM_ALWAYS_INLINE float ExpAndSum(float* row, int64_t cols) {
  constexpr int kLanes =
      16;  // Independent partial results, so that the loops vectorize without reassociation.
  float max_lane[kLanes];
  float sum_lane[kLanes];
  for (int i = 0; i < kLanes; ++i) max_lane[i] = -INFINITY;
  const int64_t whole = cols / kLanes * kLanes;
  for (int64_t c = 0; c < whole; c += kLanes) {
    for (int i = 0; i < kLanes; ++i)
      max_lane[i] = row[c + i] > max_lane[i] ? row[c + i] : max_lane[i];
  }
  float max = -INFINITY;
  for (int64_t c = whole; c < cols; ++c) max = std::max(max, row[c]);
  for (int i = 0; i < kLanes; ++i) max = std::max(max, max_lane[i]);
  for (int i = 0; i < kLanes; ++i) sum_lane[i] = 0;
  for (int64_t c = 0; c < whole; c += kLanes) {
    for (int i = 0; i < kLanes; ++i) {
      const float e = Exp(row[c + i] - max);
      row[c + i] = e;
      sum_lane[i] += e;
    }
  }
  float sum = 0;
  for (int64_t c = whole; c < cols; ++c) {
    row[c] = Exp(row[c] - max);
    sum += row[c];
  }
  for (int i = 0; i < kLanes; ++i) sum += sum_lane[i];
  return sum;
}

}  // namespace

BITLM_CLONES
void SoftmaxCrossEntropy(float* logits, int64_t rows, int64_t cols, const int32_t* targets,
                         float gradient_scale, double* loss, uint16_t* plain, int64_t plain_stride,
                         uint16_t* packed, int64_t row_block, int64_t row_blocks) {
  for (int64_t r0 = 0; r0 < rows; r0 += 2) {
    const int64_t pair_rows = std::min<int64_t>(2, rows - r0);
    float factor[2] = {0, 0};
    for (int64_t i = 0; i < pair_rows; ++i) {
      const int64_t r = r0 + i;
      loss[r] = 0;
      if (targets[r] < 0) continue;
      float* row = logits + r * cols;
      const float sum = ExpAndSum(row, cols);
      // row[target] is exp(target_logit - max) now; it may have underflowed, so its logarithm is
      // taken in double with a floor.
      const double p = std::max(static_cast<double>(row[targets[r]]) / sum, 1e-37);
      loss[r] = -std::log(p);
      factor[i] = gradient_scale / sum;
      // (e / sum - 1) * scale = (e - sum) * factor at the target.
      row[targets[r]] -= sum;
    }
    if (plain == nullptr) continue;
    const float* a = logits + r0 * cols;
    const float* b = a + cols;
    uint16_t* plain_a = plain + r0 * plain_stride;
    uint16_t* plain_b = plain_a + plain_stride;
    const float fa = factor[0];
    const float fb = factor[1];
    const int64_t block = row_block + r0 / kPackRows;
    const int64_t pair = (r0 % kPackRows) / 2;
    for (int64_t c = 0; c < cols; c += kPackColumns) {
      const int64_t width = std::min(kPackColumns, cols - c);
      auto* dst =
          reinterpret_cast<uint32_t*>(packed) +
          (((c / kPackColumns) * row_blocks + block) * (kPackRows / 2) + pair) * kPackColumns;
      // A factor of 0 makes the row of a masked position 0 (its logits are finite).
      for (int64_t j = 0; j < width; ++j) {
        const uint16_t low = ToBfloat16(a[c + j] * fa);
        const uint16_t high = ToBfloat16(b[c + j] * fb);
        plain_a[c + j] = low;
        plain_b[c + j] = high;
        dst[j] = Pair(low, high);
      }
      for (int64_t j = width; j < kPackColumns; ++j) dst[j] = 0;
    }
  }
}

BITLM_CLONES
double SumOfSquares(const float* x, int64_t n) {
  constexpr int kLanes = 16;
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
