// The set bits of 64-bit lanes are counted by one instruction.
#include "engine/kernels/simd/x86_avx512_inl.h"

#undef BITLM_ISA
#define BITLM_ISA avx512_vpopcntdq

namespace bitlm::avx512_vpopcntdq {

using namespace avx512;  // NOLINT: the lanes.

constexpr size_t kRows = 12;
constexpr size_t kBlockWords = size_t{1} << 24;

BITLM_INLINE Bytes AddSetBits(Bytes counts, Bytes difference) {
  return _mm512_add_epi64(counts, _mm512_popcnt_epi64(difference));
}
BITLM_INLINE Bytes Totals(Bytes counts) { return counts; }

}  // namespace bitlm::avx512_vpopcntdq

#include "engine/kernels/xnor_gemm/counting_inl.h"
