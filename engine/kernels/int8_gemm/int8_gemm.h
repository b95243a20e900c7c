// int8_gemm: exact products of an int8 weight matrix with int8 activations.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "engine/kernels/variant.h"

namespace bitlm {

// sums[b][r] = sum over k of w[r][k] * q[b][k], with q = q_0 for one plane, 128 * q_0 + q_1 for
// two. Weights are stored as w + 128, so that units that multiply unsigned with signed bytes can be
// used; what that adds, 128 * totals[b], is taken away at the end. Exact in int32 wherever the sum
// is: additions wrap, so what passes through does not matter.
struct Int8GemmArgs {
  const uint8_t* panels = nullptr;  // [row_panels][groups][16][4], as PackInt8Panels writes them.
  size_t row_panels = 0;
  size_t groups = 0;                // ceil(columns / 4).
  const int8_t* q = nullptr;        // [batch][planes][q_stride]; zero in [columns, 4 * groups).
  size_t q_stride = 0;              // At least 4 * groups.
  int planes = 1;                   // 1 or 2, most significant plane first.
  const int32_t* totals = nullptr;  // [batch], the sum of q over k.
  size_t batch = 0;
  int32_t* sums = nullptr;  // [batch][sums_stride]; 16 * row_panels values of each row; out.
  size_t sums_stride = 0;
};

using Int8GemmFn = void(const Int8GemmArgs& args);

std::span<const Variant<Int8GemmFn>> Int8GemmVariants();

}  // namespace bitlm
