#include <algorithm>
#include <bit>

#include "engine/kernels/panel.h"
#include "engine/kernels/xnor_gemm/xnor_gemm.h"

namespace bitlm::portable {

void XnorGemm(const XnorGemmArgs& args) {
  const size_t words = CeilDiv(args.columns, kWordColumns);
  for (size_t b = 0; b < args.batch; ++b) {
    const uint64_t* x = args.x + b * args.x_stride;
    for (size_t p = 0; p < args.row_panels; ++p) {
      const uint64_t* panel = args.panels + p * words * kPanelRows;
      int32_t different[kPanelRows] = {};
      for (size_t i = 0; i < words; ++i) {
        for (size_t r = 0; r < kPanelRows; ++r) {
          different[r] += std::popcount(panel[i * kPanelRows + r] ^ x[i]);
        }
      }
      int32_t* sums = args.sums + b * args.sums_stride + p * kPanelRows;
      for (size_t r = 0; r < kPanelRows; ++r) {
        sums[r] = static_cast<int32_t>(args.columns) - 2 * different[r];
      }
    }
  }
}

void SignBits(const SignBitsArgs& args) {
  for (size_t b = 0; b < args.batch; ++b) {
    uint64_t* bits = args.bits + b * args.stride;
    std::fill_n(bits, args.stride, uint64_t{0});
    const float* row = args.rows[b];
    for (size_t k = 0; row != nullptr && k < args.columns; ++k) {
      bits[k / kWordColumns] |= uint64_t{row[k] > 0.0f} << (k % kWordColumns);
    }
  }
}

}  // namespace bitlm::portable
