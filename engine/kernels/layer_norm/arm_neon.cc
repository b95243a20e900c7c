#define BITLM_LANES "engine/kernels/simd/arm_neon_inl.h"
#include "engine/kernels/layer_norm/vector_inl.h"
