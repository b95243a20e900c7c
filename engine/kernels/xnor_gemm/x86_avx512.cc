#define BITLM_LANES "engine/kernels/simd/x86_avx512_inl.h"
#include "engine/kernels/xnor_gemm/vector_inl.h"
