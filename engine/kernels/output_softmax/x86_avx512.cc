#define BITLM_LANES "engine/kernels/simd/x86_avx512_inl.h"
#include "engine/kernels/output_softmax/vector_inl.h"
