#define BITLM_TILES "engine/kernels/simd/x86_amx_tiles_inl.h"
#include "engine/kernels/binary_gemm/tiles_inl.h"

namespace bitlm::avx512_vnni {
BinaryGemmFn BinaryGemm;
}

namespace bitlm::amx {

void BinaryGemm(const BinaryGemmArgs& args) {
  // A tile of weights takes about as long to write as sixteen rows to multiply, however few there
  // are.
  constexpr size_t kLeastRows = 5;
  if (args.batch < kLeastRows) {
    avx512_vnni::BinaryGemm(args);
  } else {
    TileGemm<Tiles, BinaryTileWeights>(args);
  }
}

}  // namespace bitlm::amx
