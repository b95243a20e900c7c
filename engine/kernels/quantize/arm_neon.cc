#define BITLM_LANES "engine/kernels/simd/arm_neon_inl.h"
#include "engine/kernels/quantize/vector_inl.h"
