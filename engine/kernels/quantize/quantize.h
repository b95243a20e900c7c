// quantize: float rows to one or two int8 planes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "engine/kernels/variant.h"

namespace bitlm {

// The largest quantized value: 127, or 127 * 128 for two planes.
constexpr float QuantizationLimit(int planes) { return planes == 1 ? 127.0f : 16256.0f; }

// A row whose largest magnitude is below this counts as zero: its scale is 0.
inline constexpr float kSmallestMagnitude = 0x1p-100f;

// With L = QuantizationLimit(planes), for each row b of `columns` values x:
//   kHidden: x is in [-1, 1]; scale = 1 / L, inverse = L;
//   kRowMaximum: scale = max|x| / L, inverse = L / max|x|, both 0 for a zero row.
//   q = round(clamp(x * inverse, -L, L)), ties to even; two planes: q = 128 * high + low with low
//   in [-64, 63].
// clamp(t) is t < L ? t : L, then t > -L ? t : -L, which also settles NaN.
enum class QuantizationScale { kHidden, kRowMaximum };

struct QuantizeArgs {
  const float* const* rows = nullptr;  // [batch] of [columns]; null = a row of zeros.
  size_t batch = 0;
  size_t columns = 0;
  int planes = 1;
  QuantizationScale scale = QuantizationScale::kRowMaximum;
  int8_t* q = nullptr;        // [batch][planes][q_stride]; zero from `columns` on; out.
  size_t q_stride = 0;        // At least `columns`.
  float* scales = nullptr;    // [batch]; out.
  int32_t* totals = nullptr;  // [batch], the sum of q; out.
};

using QuantizeFn = void(const QuantizeArgs& args);

std::span<const Variant<QuantizeFn>> QuantizeVariants();

}  // namespace bitlm
