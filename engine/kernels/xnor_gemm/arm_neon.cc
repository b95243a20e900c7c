// The set bits of bytes are counted by one instruction.
#include "engine/kernels/simd/arm_neon_inl.h"

namespace bitlm::neon {

constexpr size_t kRows = 6;
// A byte grows by 8 a word.
constexpr size_t kBlockWords = 31;

BITLM_INLINE Bytes AddSetBits(Bytes counts, Bytes difference) {
  return AddBytes(counts, vcntq_u8(difference));
}
BITLM_INLINE Bytes Totals(Bytes counts) { return SumEights(counts); }

}  // namespace bitlm::neon

#include "engine/kernels/xnor_gemm/counting_inl.h"
#include "engine/kernels/xnor_gemm/sign_bits_inl.h"
