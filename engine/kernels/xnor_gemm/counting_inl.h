// xnor_gemm, for the file that has defined, in namespace BITLM_ISA,
//
//   kRows                            batch rows that one word of weights serves,
//   kBlockWords                      how often counts can be added to before Totals,
//   Bytes AddSetBits(counts, difference)  counts, plus the set bits of `difference`,
//   Bytes Totals(counts)             their sums by 64-bit lanes.
#pragma once

#include "engine/kernels/panel.h"
#include "engine/kernels/xnor_gemm/xnor_gemm.h"

namespace bitlm::BITLM_ISA {

// Rows of a panel that one register holds, and registers of a panel that are summed at once.
constexpr size_t kLanes = sizeof(Bytes) / sizeof(uint64_t);
constexpr size_t kRegisters = 2;

// Two registers of weights (rows `from` on of a panel) and `n` batch rows from x on.
template <size_t n>
BITLM_INLINE void CountRows(const XnorGemmArgs& args, const uint64_t* weights, const uint64_t* x,
                            size_t words, int32_t* sums) {
  Bytes total[n][kRegisters];
  for (size_t b = 0; b < n; ++b) {
    for (size_t r = 0; r < kRegisters; ++r) total[b][r] = ZeroBytes();
  }
  for (size_t begin = 0; begin < words; begin += kBlockWords) {
    const size_t end = words - begin < kBlockWords ? words : begin + kBlockWords;
    Bytes counts[n][kRegisters];
    for (size_t b = 0; b < n; ++b) {
      for (size_t r = 0; r < kRegisters; ++r) counts[b][r] = ZeroBytes();
    }
    for (size_t i = begin; i < end; ++i) {
      Bytes w[kRegisters];
      for (size_t r = 0; r < kRegisters; ++r) {
        w[r] = LoadBytes(weights + i * kPanelRows + r * kLanes);
      }
      for (size_t b = 0; b < n; ++b) {
        const Bytes word = BroadcastWord(x + b * args.x_stride + i);
        for (size_t r = 0; r < kRegisters; ++r) {
          counts[b][r] = AddSetBits(counts[b][r], XorBytes(w[r], word));
        }
      }
    }
    for (size_t b = 0; b < n; ++b) {
      for (size_t r = 0; r < kRegisters; ++r) {
        total[b][r] = AddLongs(total[b][r], Totals(counts[b][r]));
      }
    }
  }
  const Bytes columns = SetLongs(static_cast<int64_t>(args.columns));
  for (size_t b = 0; b < n; ++b) {
    for (size_t r = 0; r < kRegisters; ++r) {
      StoreLongsAsInts(sums + b * args.sums_stride + r * kLanes,
                       SubLongs(columns, AddLongs(total[b][r], total[b][r])));
    }
  }
}

template <size_t n>
static __attribute__((noinline)) void AllPanels(const XnorGemmArgs& args, size_t b) {
  const size_t words = CeilDiv(args.columns, kWordColumns);
  for (size_t p = 0; p < args.row_panels; ++p) {
    for (size_t row = 0; row < kPanelRows; row += kRegisters * kLanes) {
      CountRows<n>(args, args.panels + p * words * kPanelRows + row, args.x + b * args.x_stride,
                   words, args.sums + b * args.sums_stride + p * kPanelRows + row);
    }
  }
}

void XnorGemm(const XnorGemmArgs& args) {
  size_t b = 0;
  for (; b + kRows <= args.batch; b += kRows) AllPanels<kRows>(args, b);
  if constexpr (kRows > 4) {
    for (; b + 4 <= args.batch; b += 4) AllPanels<4>(args, b);
  }
  for (; b < args.batch; ++b) AllPanels<1>(args, b);
}

}  // namespace bitlm::BITLM_ISA
