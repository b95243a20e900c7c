// lstm_cell on the lanes of BITLM_LANES (kernels/simd).
#pragma once

#include BITLM_LANES

#include "engine/kernels/elementary/vector_inl.h"
#include "engine/kernels/layer_norm/moments_inl.h"
#include "engine/kernels/lstm_cell/lstm_cell.h"

namespace bitlm::BITLM_ISA {

// Where gates come from. The next lanes of row r of batch row b; `rest` of them are wanted.
struct GivenGates {
  static __attribute__((always_inline)) F32 Next(const LstmCellArgs& args, size_t b, size_t r,
                                                 size_t rest) {
    return LoadFirst(args.gates + b * args.gates_stride + r, rest);
  }
};
template <bool kSharedScales>
struct SummedGates {
  static __attribute__((always_inline)) F32 Next(const LstmCellArgs& args, size_t b, size_t r,
                                                 size_t rest) {
    const GateSums& sums = args.sums;
    const size_t at = b * sums.stride + r;
    const F32 x = Mul(Set(sums.x_scales[b]), ToFloat(LoadFirstInt(sums.x_sums + at, rest)));
    const F32 h_sum = ToFloat(LoadFirstInt(sums.h_sums + at, rest));
    const F32 scale = LoadFirst(sums.row_scales + r, rest);
    const F32 bias = LoadFirst(sums.bias + r, rest);
    const F32 h_scale = Set(sums.h_scales[b]);
    if constexpr (kSharedScales) {
      return Fma(scale, Fma(h_scale, h_sum, x), bias);
    } else {
      return Fma(LoadFirst(sums.h_row_scales + r, rest), Mul(h_scale, h_sum), Fma(scale, x, bias));
    }
  }
};

template <typename Gates, bool kNormalize>
static __attribute__((noinline)) void CellRows(const LstmCellArgs& args) {
  const size_t hidden = args.hidden;
  for (size_t b = 0; b < args.batch; ++b) {
    const float* previous = args.c_previous[b];
    for (size_t j = 0; j < hidden; j += 16) {
      const size_t rest = hidden - j;
      const F32 i = Sigmoid(Gates::Next(args, b, j, rest));
      const F32 f = Sigmoid(Gates::Next(args, b, hidden + j, rest));
      const F32 g = Tanh(Gates::Next(args, b, 2 * hidden + j, rest));
      const F32 old = previous == nullptr ? Set(0.0f) : LoadFirst(previous + j, rest);
      const F32 c = Fma(f, old, Mul(i, g));
      StoreFirst(args.c[b] + j, c, rest);
      if constexpr (kNormalize) continue;
      const F32 o = Sigmoid(Gates::Next(args, b, 3 * hidden + j, rest));
      StoreFirst(args.h[b] + j, Mul(o, Tanh(c)), rest);
    }
    if constexpr (!kNormalize) continue;
    const Moments moments = RowMoments(args.c[b], hidden);
    for (size_t j = 0; j < hidden; j += 16) {
      const size_t rest = hidden - j;
      const F32 normal = Mul(Sub(LoadFirst(args.c[b] + j, rest), moments.mean), moments.inverse);
      const F32 c =
          Fma(LoadFirst(args.c_gain + j, rest), normal, LoadFirst(args.c_shift + j, rest));
      const F32 o = Sigmoid(Gates::Next(args, b, 3 * hidden + j, rest));
      StoreFirst(args.h[b] + j, Mul(o, Tanh(c)), rest);
    }
  }
}

template <bool kNormalize>
BITLM_INLINE void CellGates(const LstmCellArgs& args) {
  if (args.sums.x_sums == nullptr) return CellRows<GivenGates, kNormalize>(args);
  if (args.sums.h_row_scales == nullptr) return CellRows<SummedGates<true>, kNormalize>(args);
  CellRows<SummedGates<false>, kNormalize>(args);
}

void LstmCell(const LstmCellArgs& args) {
  if (args.c_gain == nullptr) {
    CellGates<false>(args);
  } else {
    CellGates<true>(args);
  }
}

}  // namespace bitlm::BITLM_ISA
