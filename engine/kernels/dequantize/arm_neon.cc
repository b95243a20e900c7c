#define BITLM_LANES "engine/kernels/simd/arm_neon_inl.h"
#include "engine/kernels/dequantize/vector_inl.h"
