#define BITLM_LANES "engine/kernels/simd/arm_neon_inl.h"
#include "engine/kernels/binary_gemm/lookup_inl.h"
