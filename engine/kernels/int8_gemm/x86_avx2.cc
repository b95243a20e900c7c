#define BITLM_LANES "engine/kernels/simd/x86_avx2_inl.h"
#include "engine/kernels/int8_gemm/vector_inl.h"
