#define BITLM_LANES "engine/kernels/simd/arm_neon_inl.h"
#include "engine/kernels/output_softmax/vector_inl.h"
