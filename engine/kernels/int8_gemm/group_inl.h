// int8_gemm, for the file that has defined, in namespace BITLM_ISA,
//
//   kRows, kPanels           batch rows and panels that are computed at once,
//   kExcess                  what MultiplyAdd's weights have more than the stored matrix, 128 or 0,
//   Prepared                 four activations, made ready by Prepare(q),
//   Bytes MultiplyAdd(sums, weights, prepared)
//                            32-bit lanes: sums plus four weights by four activations.
#pragma once

#include "engine/kernels/int8_gemm/int8_gemm.h"
#include "engine/kernels/panel.h"

namespace bitlm::BITLM_ISA {

// Rows of a panel that one register holds, and registers of a panel.
constexpr size_t kLanes = sizeof(Bytes) / sizeof(int32_t);
constexpr size_t kRegisters = kPanelRows / kLanes;

template <size_t n, size_t panels>
BITLM_INLINE void AddPlane(const Int8GemmArgs& args, const uint8_t* panel, const int8_t* q,
                           Bytes (&sums)[panels][n][kRegisters]) {
  const size_t row_bytes = static_cast<size_t>(args.planes) * args.q_stride;
  const size_t panel_bytes = args.groups * kPanelRows * kGroupColumns;
  for (size_t g = 0; g < args.groups; ++g) {
    Bytes weights[panels][kRegisters];
    for (size_t p = 0; p < panels; ++p) {
      for (size_t r = 0; r < kRegisters; ++r) {
        weights[p][r] = LoadBytes(panel + p * panel_bytes + (g * kRegisters + r) * sizeof(Bytes));
      }
    }
    for (size_t b = 0; b < n; ++b) {
      const Prepared prepared = Prepare(q + b * row_bytes + g * kGroupColumns);
      for (size_t p = 0; p < panels; ++p) {
        for (size_t r = 0; r < kRegisters; ++r) {
          sums[p][b][r] = MultiplyAdd(sums[p][b][r], weights[p][r], prepared);
        }
      }
    }
  }
}

template <size_t n, size_t panels>
BITLM_INLINE void Block(const Int8GemmArgs& args, size_t b, size_t first_panel) {
  const int8_t* q = args.q + b * static_cast<size_t>(args.planes) * args.q_stride;
  const uint8_t* panel = args.panels + first_panel * args.groups * kPanelRows * kGroupColumns;
  Bytes sums[panels][n][kRegisters];
  for (auto& of_panel : sums) {
    for (auto& of_row : of_panel) {
      for (Bytes& sum : of_row) sum = ZeroBytes();
    }
  }
  AddPlane<n, panels>(args, panel, q, sums);
  if (args.planes == 2) {
    for (auto& of_panel : sums) {
      for (auto& of_row : of_panel) {
        for (Bytes& sum : of_row) sum = ShiftIntsLeft<7>(sum);
      }
    }
    AddPlane<n, panels>(args, panel, q + args.q_stride, sums);
  }
  for (size_t i = 0; i < n; ++i) {
    const Bytes excess = kExcess == 0 ? ZeroBytes() : ShiftIntsLeft<7>(SetInts(args.totals[b + i]));
    int32_t* to = args.sums + (b + i) * args.sums_stride + first_panel * kPanelRows;
    for (size_t p = 0; p < panels; ++p) {
      for (size_t r = 0; r < kRegisters; ++r) {
        StoreBytes(to + p * kPanelRows + r * kLanes, SubInts(sums[p][i][r], excess));
      }
    }
  }
}

// All panels of n batch rows; `panels` at once, to keep enough independent sums in flight.
template <size_t n, size_t panels>
static __attribute__((noinline)) void AllPanels(const Int8GemmArgs& args, size_t b) {
  size_t panel = 0;
  for (; panel + panels <= args.row_panels; panel += panels) Block<n, panels>(args, b, panel);
  for (; panel < args.row_panels; ++panel) Block<n, 1>(args, b, panel);
}

void Int8Gemm(const Int8GemmArgs& args) {
  size_t b = 0;
  for (; b + kRows <= args.batch; b += kRows) AllPanels<kRows, kPanels>(args, b);
  if constexpr (kRows > 3) {
    for (; b + 3 <= args.batch; b += 3) AllPanels<3, 3 * kPanels>(args, b);
  }
  for (; b < args.batch; ++b) AllPanels<1, 4 * kPanels>(args, b);
}

}  // namespace bitlm::BITLM_ISA
