// sdot multiplies four signed weights with four activations and adds them to a 32-bit lane. The
// stored w + 128 with its highest bit flipped is w.
#include "engine/kernels/simd/arm_neon_inl.h"

#undef BITLM_ISA
#define BITLM_ISA neon_dotprod

namespace bitlm::neon_dotprod {

using namespace neon;  // NOLINT: the lanes.

constexpr size_t kRows = 3;
constexpr size_t kPanels = 1;
constexpr int32_t kExcess = 0;

using Prepared = Bytes;

BITLM_INLINE Prepared Prepare(const int8_t* q) {
  int32_t four;
  __builtin_memcpy(&four, q, sizeof four);
  return SetInts(four);
}
BITLM_INLINE Bytes MultiplyAdd(Bytes sums, Bytes weights, const Prepared& q) {
  const int8x16_t w = vreinterpretq_s8_u8(XorBytes(weights, vdupq_n_u8(0x80)));
  return FromInts(vdotq_s32(Ints(sums), w, vreinterpretq_s8_u8(q)));
}

}  // namespace bitlm::neon_dotprod

#include "engine/kernels/int8_gemm/group_inl.h"
