#define BITLM_TILES "engine/kernels/simd/x86_amx_tiles_inl.h"
#include "engine/kernels/int8_gemm/tiles_inl.h"

namespace bitlm::amx {

void Int8Gemm(const Int8GemmArgs& args) { TileGemm<Tiles, Int8TileWeights>(args); }

}  // namespace bitlm::amx
