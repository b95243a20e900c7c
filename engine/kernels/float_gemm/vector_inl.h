// A lane is a row: each vector fma adds one column of 16 rows for one batch row, so every output
// sees its columns in ascending order. Blocking only decides how many outputs are in flight.
#pragma once

#include BITLM_LANES

#include "engine/kernels/float_gemm/float_gemm.h"
#include "engine/kernels/panel.h"

namespace bitlm::BITLM_ISA {

// kPanels panels from `panel` on, kRows batch rows from `b` on.
template <int kPanels, int kRows>
BITLM_INLINE void FloatBlock(const FloatGemmArgs& args, size_t panel, size_t b) {
  const size_t columns = args.columns;
  const size_t x_stride = args.x_stride;
  const float* weights = args.panels + panel * columns * kPanelRows;
  F32 acc[kPanels][kRows];
  for (int p = 0; p < kPanels; ++p) {
    const size_t first = (panel + static_cast<size_t>(p)) * kPanelRows;
    for (int n = 0; n < kRows; ++n) {
      const float* out = args.out + (b + static_cast<size_t>(n)) * args.out_stride + first;
      acc[p][n] = args.accumulate        ? Load(out)
                  : args.bias != nullptr ? Load(args.bias + first)
                                         : Set(0.0f);
    }
  }
  // One pointer for three rows: base, base + stride and base + 2 * stride are addressing modes, so
  // that twelve rows need only four registers.
  constexpr int kPointers = (kRows + 2) / 3;
  const float* rows[kPointers];
  for (int i = 0; i < kPointers; ++i) {
    rows[i] = args.x + (b + 3 * static_cast<size_t>(i)) * x_stride;
  }
  for (size_t k = 0; k < columns; ++k) {
    F32 w[kPanels];
    for (int p = 0; p < kPanels; ++p) {
      w[p] = Load(weights + (static_cast<size_t>(p) * columns + k) * kPanelRows);
    }
    for (int n = 0; n < kRows; ++n) {
      const F32 x = Set(rows[n / 3][static_cast<size_t>(n % 3) * x_stride]);
      for (int p = 0; p < kPanels; ++p) acc[p][n] = Fma(w[p], x, acc[p][n]);
    }
    for (int i = 0; i < kPointers; ++i) ++rows[i];
  }
  for (int p = 0; p < kPanels; ++p) {
    const size_t first = (panel + static_cast<size_t>(p)) * kPanelRows;
    for (int n = 0; n < kRows; ++n) {
      Store(args.out + (b + static_cast<size_t>(n)) * args.out_stride + first, acc[p][n]);
    }
  }
}

// As many batch rows as there are blocks of kRows from `b` on. Returns the first row left.
template <int kPanels, int kRows>
static __attribute__((noinline)) size_t FloatBlocks(const FloatGemmArgs& args, size_t first,
                                                    size_t panels, size_t b) {
  const size_t end = first + panels;
  for (; b + kRows <= args.batch; b += kRows) {
    size_t panel = first;
    for (; panel + kPanels <= end; panel += kPanels) FloatBlock<kPanels, kRows>(args, panel, b);
    for (; panel < end; ++panel) FloatBlock<1, kRows>(args, panel, b);
  }
  return b;
}

void FloatGemm(const FloatGemmArgs& args) {
  // Panels whose weights stay in the first two cache levels while every batch row passes over them.
  constexpr size_t kCachedWeights = 96 * 1024;  // Floats: 384 KiB.
  const size_t panel_floats = args.columns * kPanelRows;
  size_t step = panel_floats == 0 ? args.row_panels : kCachedWeights / panel_floats;
  step = step < 8 ? 8 : step / 8 * 8;
  for (size_t panel = 0; panel < args.row_panels; panel += step) {
    const size_t rest = args.row_panels - panel;
    const size_t panels = rest < step ? rest : step;
    // Sums in flight, a weight of each panel and one activation fit the registers.
    if constexpr (kVectors >= 32) {
      size_t b = FloatBlocks<2, 12>(args, panel, panels, 0);
      b = FloatBlocks<4, 6>(args, panel, panels, b);
      b = FloatBlocks<4, 3>(args, panel, panels, b);
      FloatBlocks<8, 1>(args, panel, panels, b);
    } else {
      size_t b = FloatBlocks<1, 6>(args, panel, panels, 0);
      b = FloatBlocks<2, 3>(args, panel, panels, b);
      FloatBlocks<4, 1>(args, panel, panels, b);
    }
  }
}

}  // namespace bitlm::BITLM_ISA
