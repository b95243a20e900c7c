// xnor_gemm on the lanes of BITLM_LANES (kernels/simd): the set bits of a byte are those of its two
// nibbles, looked up (Mula, Kurz, Lemire 2018, arXiv:1611.07612, section 2).
#pragma once

#include BITLM_LANES

namespace bitlm::BITLM_ISA {

// Registers: two counts a row, and what the look-ups need beside them.
constexpr size_t kRows = kVectors >= 32 ? 8 : 3;
// A byte grows by 8 a word.
constexpr size_t kBlockWords = 31;

alignas(16) constexpr int8_t kSetBits[16] = {0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4};

BITLM_INLINE Bytes AddSetBits(Bytes counts, Bytes difference) {
  const Bytes table = Broadcast16(kSetBits);
  return AddBytes(counts, AddBytes(LookUp(table, LowNibbles(difference)),
                                   LookUp(table, HighNibbles(difference))));
}
BITLM_INLINE Bytes Totals(Bytes counts) { return SumEights(counts); }

}  // namespace bitlm::BITLM_ISA

#include "engine/kernels/xnor_gemm/counting_inl.h"
#include "engine/kernels/xnor_gemm/sign_bits_inl.h"
