#define BITLM_LANES "engine/kernels/simd/arm_neon_inl.h"
#include "engine/kernels/int8_gemm/vector_inl.h"
