// xnor_gemm: exact products of +1 and -1 with +1 and -1, one bit each ([ZT] section 3.1, XNOR-Net):
// columns - 2 * (the number of bits that differ).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "engine/kernels/variant.h"

namespace bitlm {

// sums[b][r] = sum over k of w[r][k] * x[b][k], both +1 or -1.
struct XnorGemmArgs {
  const uint64_t* panels = nullptr;  // [row_panels][words][16], as PackSignPanels writes them.
  size_t row_panels = 0;
  size_t columns = 0;           // At most 2^24.
  const uint64_t* x = nullptr;  // [batch][x_stride]; bit j of word i = column 64 i + j, 1 = +1;
                                // zero from `columns` on.
  size_t x_stride = 0;          // At least words = ceil(columns / 64).
  size_t batch = 0;
  int32_t* sums = nullptr;  // [batch][sums_stride]; 16 * row_panels values of each row; out.
  size_t sums_stride = 0;
};

using XnorGemmFn = void(const XnorGemmArgs& args);

std::span<const Variant<XnorGemmFn>> XnorGemmVariants();

// bits[b] of x[b]: +1 where a value is above 0, -1 elsewhere, also for NaN ([ZT] section 3.1).
struct SignBitsArgs {
  const float* const* rows = nullptr;  // [batch] of [columns]; null = a row of zeros.
  size_t batch = 0;
  size_t columns = 0;
  uint64_t* bits = nullptr;  // [batch][stride], as XnorGemmArgs::x; zero from `columns` on; out.
  size_t stride = 0;         // At least ceil(columns / 64).
};

using SignBitsFn = void(const SignBitsArgs& args);

std::span<const Variant<SignBitsFn>> SignBitsVariants();

}  // namespace bitlm
