#include <cmath>

#include "engine/kernels/float_gemm/float_gemm.h"
#include "engine/kernels/panel.h"

namespace bitlm::portable {

void FloatGemm(const FloatGemmArgs& args) {
  for (size_t p = 0; p < args.row_panels; ++p) {
    const float* panel = args.panels + p * args.columns * kPanelRows;
    for (size_t b = 0; b < args.batch; ++b) {
      const float* x = args.x + b * args.x_stride;
      float* out = args.out + b * args.out_stride + p * kPanelRows;
      float acc[kPanelRows];
      for (size_t r = 0; r < kPanelRows; ++r) {
        acc[r] = args.accumulate ? out[r] : args.bias ? args.bias[p * kPanelRows + r] : 0.0f;
      }
      for (size_t k = 0; k < args.columns; ++k) {
        for (size_t r = 0; r < kPanelRows; ++r) {
          acc[r] = std::fma(panel[k * kPanelRows + r], x[k], acc[r]);
        }
      }
      for (size_t r = 0; r < kPanelRows; ++r) out[r] = acc[r];
    }
  }
}

}  // namespace bitlm::portable
