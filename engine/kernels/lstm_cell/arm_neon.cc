#define BITLM_LANES "engine/kernels/simd/arm_neon_inl.h"
#include "engine/kernels/lstm_cell/vector_inl.h"
