// int8_gemm on the lanes of BITLM_LANES (kernels/simd), by products of shorts: those of bytes
// saturate.
#pragma once

#include BITLM_LANES

namespace bitlm::BITLM_ISA {

constexpr size_t kRows = kVectors >= 32 ? 8 : 3;
constexpr size_t kPanels = 1;
constexpr int32_t kExcess = 128;

// Columns 0 and 2, and 1 and 3, as the shorts of every 32-bit lane.
struct Prepared {
  Bytes even, odd;
};

BITLM_INLINE Prepared Prepare(const int8_t* q) {
  return {SetInts(static_cast<int32_t>(static_cast<uint16_t>(q[0]) |
                                       static_cast<uint32_t>(static_cast<uint16_t>(q[2])) << 16)),
          SetInts(static_cast<int32_t>(static_cast<uint16_t>(q[1]) |
                                       static_cast<uint32_t>(static_cast<uint16_t>(q[3])) << 16))};
}
BITLM_INLINE Bytes MultiplyAdd(Bytes sums, Bytes weights, const Prepared& q) {
  const Bytes even = MultiplyShortPairs(ClearHighBytes(weights), q.even);
  const Bytes odd = MultiplyShortPairs(HighBytes(weights), q.odd);
  return AddInts(sums, AddInts(even, odd));
}

}  // namespace bitlm::BITLM_ISA

#include "engine/kernels/int8_gemm/group_inl.h"
