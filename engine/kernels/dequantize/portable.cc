#include <cmath>

#include "engine/kernels/dequantize/dequantize.h"

namespace bitlm::portable {

void Dequantize(const DequantizeArgs& args) {
  for (size_t b = 0; b < args.batch; ++b) {
    const int32_t* x_sums = args.x_sums + b * args.sums_stride;
    const int32_t* h_sums = args.h_sums == nullptr ? nullptr : args.h_sums + b * args.sums_stride;
    float* out = args.out + b * args.out_stride;
    for (size_t r = 0; r < args.rows; ++r) {
      float a = args.x_scales[b] * static_cast<float>(x_sums[r]);
      if (h_sums != nullptr) a = std::fma(args.h_scales[b], static_cast<float>(h_sums[r]), a);
      const float* bias = args.accumulate ? out : args.bias;
      if (args.row_scales != nullptr) {
        a = std::fma(args.row_scales[r], a, bias == nullptr ? 0.0f : bias[r]);
      } else if (bias != nullptr) {
        a += bias[r];
      }
      out[r] = a;
    }
  }
}

}  // namespace bitlm::portable
