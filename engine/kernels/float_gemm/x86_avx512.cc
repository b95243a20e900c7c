// A lane is a row: each vector fma adds one column of 16 rows for one batch row, so every output
// sees its columns in ascending order. Blocking only decides how many outputs are in flight.
#include <immintrin.h>

#include "engine/kernels/float_gemm/float_gemm.h"
#include "engine/kernels/panel.h"

namespace bitlm::avx512 {
namespace {

// kPanels panels from `panel` on, kRows batch rows from `b` on.
template <int kPanels, int kRows>
inline __attribute__((always_inline)) void Block(const FloatGemmArgs& args, size_t panel,
                                                 size_t b) {
  const size_t columns = args.columns;
  const size_t x_stride = args.x_stride;
  const float* weights = args.panels + panel * columns * kPanelRows;
  __m512 acc[kPanels][kRows];
  for (int p = 0; p < kPanels; ++p) {
    const size_t first = (panel + static_cast<size_t>(p)) * kPanelRows;
    for (int n = 0; n < kRows; ++n) {
      const float* out = args.out + (b + static_cast<size_t>(n)) * args.out_stride + first;
      acc[p][n] = args.accumulate        ? _mm512_loadu_ps(out)
                  : args.bias != nullptr ? _mm512_loadu_ps(args.bias + first)
                                         : _mm512_setzero_ps();
    }
  }
  // One pointer for three rows, as in binary_gemm.
  constexpr int kPointers = (kRows + 2) / 3;
  const float* rows[kPointers];
  for (int i = 0; i < kPointers; ++i) {
    rows[i] = args.x + (b + 3 * static_cast<size_t>(i)) * x_stride;
  }
  for (size_t k = 0; k < columns; ++k) {
    __m512 w[kPanels];
    for (int p = 0; p < kPanels; ++p) {
      w[p] = _mm512_loadu_ps(weights + (static_cast<size_t>(p) * columns + k) * kPanelRows);
    }
    for (int n = 0; n < kRows; ++n) {
      const __m512 x = _mm512_set1_ps(rows[n / 3][static_cast<size_t>(n % 3) * x_stride]);
      for (int p = 0; p < kPanels; ++p) acc[p][n] = _mm512_fmadd_ps(w[p], x, acc[p][n]);
    }
    for (int i = 0; i < kPointers; ++i) ++rows[i];
  }
  for (int p = 0; p < kPanels; ++p) {
    const size_t first = (panel + static_cast<size_t>(p)) * kPanelRows;
    for (int n = 0; n < kRows; ++n) {
      _mm512_storeu_ps(args.out + (b + static_cast<size_t>(n)) * args.out_stride + first,
                       acc[p][n]);
    }
  }
}

template <int kPanels, int kRows>
__attribute__((noinline)) void Rows(const FloatGemmArgs& args, size_t panel, size_t panels,
                                    size_t b) {
  const size_t end = panel + panels;
  for (; panel + kPanels <= end; panel += kPanels) Block<kPanels, kRows>(args, panel, b);
  for (; panel < end; ++panel) Block<1, kRows>(args, panel, b);
}

// Panels whose weights stay in the first two cache levels while every batch row passes over them.
constexpr size_t kCachedWeights = 96 * 1024;  // Floats: 384 KiB.

}  // namespace

void FloatGemm(const FloatGemmArgs& args) {
  const size_t panel_floats = args.columns * kPanelRows;
  size_t step = panel_floats == 0 ? args.row_panels : kCachedWeights / panel_floats;
  step = step < 8 ? 8 : step / 8 * 8;
  for (size_t panel = 0; panel < args.row_panels; panel += step) {
    const size_t rest = args.row_panels - panel;
    const size_t panels = rest < step ? rest : step;
    size_t b = 0;
    for (; b + 12 <= args.batch; b += 12) Rows<2, 12>(args, panel, panels, b);
    for (; b + 6 <= args.batch; b += 6) Rows<4, 6>(args, panel, panels, b);
    for (; b + 3 <= args.batch; b += 3) Rows<4, 3>(args, panel, panels, b);
    for (; b < args.batch; ++b) Rows<8, 1>(args, panel, panels, b);
  }
}

}  // namespace bitlm::avx512
