// vpdpbusd multiplies four unsigned weights with four activations and adds them to a 32-bit lane.
#include "engine/kernels/simd/x86_avx512_inl.h"

#undef BITLM_ISA
#define BITLM_ISA avx512_vnni

namespace bitlm::avx512_vnni {

using namespace avx512;  // NOLINT: the lanes.

constexpr size_t kRows = 12;
constexpr size_t kPanels = 2;
constexpr int32_t kExcess = 128;

using Prepared = Bytes;

BITLM_INLINE Prepared Prepare(const int8_t* q) {
  int32_t four;
  __builtin_memcpy(&four, q, sizeof four);
  return SetInts(four);
}
BITLM_INLINE Bytes MultiplyAdd(Bytes sums, Bytes weights, const Prepared& q) {
  return _mm512_dpbusd_epi32(sums, weights, q);
}

}  // namespace bitlm::avx512_vnni

#include "engine/kernels/int8_gemm/group_inl.h"
