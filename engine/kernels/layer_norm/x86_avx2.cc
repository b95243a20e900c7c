#define BITLM_LANES "engine/kernels/simd/x86_avx2_inl.h"
#include "engine/kernels/layer_norm/vector_inl.h"
