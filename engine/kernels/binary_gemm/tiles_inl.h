// binary_gemm by tile registers, as simd/tile_gemm_inl.h wants its weights: a panel's word is
// the mask of a tile row of +1 and -1.
#pragma once

#include "engine/kernels/binary_gemm/binary_gemm.h"
#include "engine/kernels/simd/tile_gemm_inl.h"

namespace bitlm::BITLM_ISA {

struct BinaryTileWeights {
  static constexpr bool kUnsigned = false;
  static constexpr uint32_t kExcess = 0;
  static __attribute__((always_inline)) const void* Tile(const BinaryGemmArgs& args, size_t panel,
                                                         size_t group, size_t count, int8_t* room) {
    const uint64_t* words = args.panels + panel * args.groups + group;
    for (size_t g = 0; g < count; ++g) StoreSigns(room + g * kTileRowBytes, words[g]);
    return room;
  }
};

}  // namespace bitlm::BITLM_ISA
