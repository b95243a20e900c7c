// The tile product as tests run it anywhere.
#define BITLM_TILES "engine/kernels/simd/x86_emulated_tiles_inl.h"
#include "engine/kernels/int8_gemm/tiles_inl.h"

namespace bitlm::emulated_amx {

void Int8Gemm(const Int8GemmArgs& args) { TileGemm<Tiles, Int8TileWeights>(args); }

}  // namespace bitlm::emulated_amx
