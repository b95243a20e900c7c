#include <cmath>

#include "engine/kernels/layer_norm/layer_norm.h"
#include "engine/kernels/layer_norm/moments.h"

namespace bitlm::portable {

void LayerNorm(const LayerNormArgs& args) {
  for (size_t b = 0; b < args.batch; ++b) {
    const float* x = args.x + b * args.x_stride;
    float* out = args.out + b * args.out_stride;
    const float* shift = args.shift == nullptr ? out : args.shift;
    const Moments moments = RowMoments(x, args.columns);
    for (size_t i = 0; i < args.columns; ++i) {
      out[i] = std::fma(args.gain[i], (x[i] - moments.mean) * moments.inverse, shift[i]);
    }
  }
}

}  // namespace bitlm::portable
