// quantize on the lanes of BITLM_LANES (kernels/simd).
#pragma once

#include BITLM_LANES

#include "engine/kernels/quantize/quantize.h"

namespace bitlm::BITLM_ISA {

BITLM_INLINE float MaxMagnitude(const float* x, size_t columns) {
  F32 max = Set(0.0f);
  for (size_t k = 0; k < columns; k += 16) max = Max(Abs(LoadFirst(x + k, columns - k)), max);
  return MaxLane(max);
}

BITLM_INLINE int32_t QuantizeRow(const QuantizeArgs& args, const float* x, float inverse,
                                 int8_t* q) {
  const float limit = args.planes == 1 ? 127.0f : 16256.0f;
  I32 total = SetInt(0);
  for (size_t k = 0; k < args.columns; k += 16) {
    const size_t rest = args.columns - k;
    const F32 t = Mul(LoadFirst(x + k, rest), Set(inverse));
    const I32 rounded = RoundToInt(Max(Min(t, Set(limit)), Set(-limit)));
    // An infinite inverse makes NaN of a lane behind the row.
    const I32 value = Select(FirstLanes(rest), rounded, SetInt(0));
    total = Add(total, value);
    if (args.planes == 1) {
      StoreFirstBytes(q + k, value, rest);
    } else {
      const I32 high = ShiftRight<7>(Add(value, SetInt(64)));
      StoreFirstBytes(q + k, high, rest);
      StoreFirstBytes(q + args.q_stride + k, Sub(value, ShiftLeft<7>(high)), rest);
    }
  }
  return SumLanes(total);
}

void Quantize(const QuantizeArgs& args) {
  const float limit = args.planes == 1 ? 127.0f : 16256.0f;
  for (size_t b = 0; b < args.batch; ++b) {
    const float* x = args.rows[b];
    const size_t row_bytes = static_cast<size_t>(args.planes) * args.q_stride;
    int8_t* q = args.q + b * row_bytes;
    __builtin_memset(q, 0, row_bytes);
    float inverse = limit;
    float scale = 1.0f / limit;
    if (args.scale == QuantizationScale::kRowMaximum) {
      const float max = x == nullptr ? 0.0f : MaxMagnitude(x, args.columns);
      const bool zero = max < kSmallestMagnitude;
      inverse = limit / max;
      scale = zero ? 0.0f : max / limit;
      if (zero) x = nullptr;
    }
    args.scales[b] = scale;
    args.totals[b] = x == nullptr ? 0 : QuantizeRow(args, x, inverse, q);
  }
}

}  // namespace bitlm::BITLM_ISA
