// The tile product as tests run it anywhere.
#define BITLM_TILES "engine/kernels/simd/x86_emulated_tiles_inl.h"
#include "engine/kernels/binary_gemm/tiles_inl.h"

namespace bitlm::emulated_amx {

void BinaryGemm(const BinaryGemmArgs& args) { TileGemm<Tiles, BinaryTileWeights>(args); }

}  // namespace bitlm::emulated_amx
