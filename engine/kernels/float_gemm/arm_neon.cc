#define BITLM_LANES "engine/kernels/simd/arm_neon_inl.h"
#include "engine/kernels/float_gemm/vector_inl.h"
