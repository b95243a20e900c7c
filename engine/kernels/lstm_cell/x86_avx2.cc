#define BITLM_LANES "engine/kernels/simd/x86_avx2_inl.h"
#include "engine/kernels/lstm_cell/vector_inl.h"
