#define BITLM_LANES "engine/kernels/simd/x86_avx512_inl.h"
#include "engine/kernels/float_gemm/vector_inl.h"
