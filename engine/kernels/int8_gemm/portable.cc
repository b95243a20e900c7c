#include "engine/kernels/int8_gemm/int8_gemm.h"
#include "engine/kernels/panel.h"

namespace bitlm::portable {

void Int8Gemm(const Int8GemmArgs& args) {
  constexpr size_t kGroupBytes = kPanelRows * kGroupColumns;
  for (size_t b = 0; b < args.batch; ++b) {
    const int8_t* q = args.q + b * static_cast<size_t>(args.planes) * args.q_stride;
    for (size_t p = 0; p < args.row_panels; ++p) {
      const uint8_t* panel = args.panels + p * args.groups * kGroupBytes;
      uint32_t sums[kPanelRows] = {};  // Unsigned: additions may wrap.
      for (int plane = 0; plane < args.planes; ++plane) {
        const int8_t* q_plane = q + static_cast<size_t>(plane) * args.q_stride;
        for (uint32_t& sum : sums) sum *= 128;
        for (size_t g = 0; g < args.groups; ++g) {
          for (size_t r = 0; r < kPanelRows; ++r) {
            for (size_t k = 0; k < kGroupColumns; ++k) {
              const int w = panel[g * kGroupBytes + r * kGroupColumns + k];
              sums[r] += static_cast<uint32_t>(w * q_plane[g * kGroupColumns + k]);
            }
          }
        }
      }
      int32_t* out = args.sums + b * args.sums_stride + p * kPanelRows;
      for (size_t r = 0; r < kPanelRows; ++r) {
        out[r] = static_cast<int32_t>(sums[r] - 128 * static_cast<uint32_t>(args.totals[b]));
      }
    }
  }
}

}  // namespace bitlm::portable
