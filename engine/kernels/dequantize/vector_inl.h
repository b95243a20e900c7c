// dequantize on the lanes of BITLM_LANES (kernels/simd).
#pragma once

#include BITLM_LANES

#include "engine/kernels/dequantize/dequantize.h"

namespace bitlm::BITLM_ISA {

void Dequantize(const DequantizeArgs& args) {
  for (size_t b = 0; b < args.batch; ++b) {
    const int32_t* x_sums = args.x_sums + b * args.sums_stride;
    const int32_t* h_sums = args.h_sums == nullptr ? nullptr : args.h_sums + b * args.sums_stride;
    float* out = args.out + b * args.out_stride;
    const float* shift = args.accumulate ? out : args.bias;
    const F32 x_scale = Set(args.x_scales[b]);
    const F32 h_scale = Set(h_sums == nullptr ? 0.0f : args.h_scales[b]);
    for (size_t r = 0; r < args.rows; r += 16) {
      const size_t rest = args.rows - r;
      F32 a = Mul(x_scale, ToFloat(LoadFirstInt(x_sums + r, rest)));
      if (h_sums != nullptr) a = Fma(h_scale, ToFloat(LoadFirstInt(h_sums + r, rest)), a);
      const F32 bias = shift == nullptr ? Set(0.0f) : LoadFirst(shift + r, rest);
      if (args.row_scales != nullptr) {
        a = Fma(LoadFirst(args.row_scales + r, rest), a, bias);
      } else if (shift != nullptr) {
        a = Add(a, bias);
      }
      StoreFirst(out + r, a, rest);
    }
  }
}

}  // namespace bitlm::BITLM_ISA
