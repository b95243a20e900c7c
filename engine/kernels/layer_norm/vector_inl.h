// layer_norm on the lanes of BITLM_LANES (kernels/simd).
#pragma once

#include "engine/kernels/layer_norm/moments_inl.h"

namespace bitlm::BITLM_ISA {

void LayerNorm(const LayerNormArgs& args) {
  for (size_t b = 0; b < args.batch; ++b) {
    const float* x = args.x + b * args.x_stride;
    float* out = args.out + b * args.out_stride;
    const float* shift = args.shift == nullptr ? out : args.shift;
    const Moments moments = RowMoments(x, args.columns);
    for (size_t i = 0; i < args.columns; i += 16) {
      const size_t rest = args.columns - i;
      const F32 normal = Mul(Sub(LoadFirst(x + i, rest), moments.mean), moments.inverse);
      StoreFirst(out + i, Fma(LoadFirst(args.gain + i, rest), normal, LoadFirst(shift + i, rest)),
                 rest);
    }
  }
}

}  // namespace bitlm::BITLM_ISA
