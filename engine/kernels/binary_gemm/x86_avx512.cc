#define BITLM_LANES "engine/kernels/simd/x86_avx512_inl.h"
#include "engine/kernels/binary_gemm/lookup_inl.h"
