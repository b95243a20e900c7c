// int8_gemm by tile registers, as simd/tile_gemm_inl.h wants its weights: a panel's groups
// are the rows of a tile.
#pragma once

#include "engine/kernels/int8_gemm/int8_gemm.h"
#include "engine/kernels/simd/tile_gemm_inl.h"

namespace bitlm::BITLM_ISA {

struct Int8TileWeights {
  static constexpr bool kUnsigned = true;
  static constexpr uint32_t kExcess = 128;
  static __attribute__((always_inline)) const void* Tile(const Int8GemmArgs& args, size_t panel,
                                                         size_t group, size_t count, int8_t* room) {
    const uint8_t* weights = args.panels + (panel * args.groups + group) * kTileRowBytes;
    if (count == kTileGroups) return weights;
    __builtin_memcpy(room, weights, count * kTileRowBytes);
    return room;
  }
};

}  // namespace bitlm::BITLM_ISA
