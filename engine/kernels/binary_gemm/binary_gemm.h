// binary_gemm: exact products of a one-bit weight matrix with int8 activations.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "engine/kernels/variant.h"

namespace bitlm {

// sums[b][r] = sum over k of w[r][k] * q[b][k], with w = +1 or -1 and q = q_0 for one plane,
// 128 * q_0 + q_1 for two. Computed as 2 * (sum of q where w = +1) - totals[b], exactly in int32:
// |q| <= 127 * 128 and k <= 65536 keep every term inside.
struct BinaryGemmArgs {
  const uint64_t* panels = nullptr;  // [row_panels][groups], as PackBinaryPanels writes them.
  size_t row_panels = 0;
  size_t groups = 0;                // ceil(columns / 4).
  const int8_t* q = nullptr;        // [batch][planes][q_stride]; zero in [columns, 4 * groups).
  size_t q_stride = 0;              // At least 4 * groups.
  int planes = 1;                   // 1 or 2, most significant plane first.
  const int32_t* totals = nullptr;  // [batch], the sum of q over k.
  size_t batch = 0;
  // What the variant's BinaryTablesFn has made of the same activations, for several calls with
  // them; null: it does that itself.
  const std::byte* tables = nullptr;
  int32_t* sums = nullptr;  // [batch][sums_stride]; 16 * row_panels values of each row; out.
  size_t sums_stride = 0;
};

using BinaryGemmFn = void(const BinaryGemmArgs& args);

std::span<const Variant<BinaryGemmFn>> BinaryGemmVariants();

// Sums of subsets of a batch's activations, in which a variant may look its products up.
struct BinaryTablesArgs {
  const int8_t* q = nullptr;  // As BinaryGemmArgs have them.
  size_t q_stride = 0;
  int planes = 1;
  size_t groups = 0;
  size_t batch = 0;
  std::byte* tables = nullptr;  // BinaryTablesBytes() for each row, 64-byte aligned; out.
};

using BinaryTablesFn = void(const BinaryTablesArgs& args);

constexpr size_t BinaryTablesBytes(size_t groups, int planes) {
  return static_cast<size_t>(planes) * ((groups + 1) / 2) * 64;
}

// That of a variant; null: it has no tables.
BinaryTablesFn* BinaryTablesOf(BinaryGemmFn* variant);

}  // namespace bitlm
