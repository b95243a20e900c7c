// Products of int8 activations by tile registers: binary_gemm and int8_gemm, for a header
// BITLM_TILES with lanes and, in namespace BITLM_ISA,
//
//   Tiles     eight registers of up to 16 rows of 64 bytes, all members static:
//     Configure(rows)        tiles 0 to 3, 6 and 7 get `rows` rows, 4 and 5 sixteen
//     Zero<t>(), Load<t>(p, row_bytes), Store<t>(p, row_bytes), Release()
//     MultiplyAdd<sum, a, w, unsigned_weights>()
//                            16 int32 a row: sum[m][n] += a[m][4 g + k] * w[g][4 n + k], over g, k
// and for Weights, the tiles of a panel, all members static:
//     kUnsigned              whether weights are unsigned bytes, or signed ones
//     kExcess                what is added to each weight, to be taken off the sums
//     Tile(panels, group, count, room)
//                            [16][16][4]: groups [group, group + count) of a panel, in `room` (1024
//                            bytes) unless they lie in memory like that; rows from `count` on may
//                            hold anything
#pragma once

#include BITLM_TILES

#include "engine/kernels/panel.h"

namespace bitlm::BITLM_ISA {

// Groups of four columns of a tile of weights, and bytes of a tile.
constexpr size_t kTileGroups = 16;
constexpr size_t kTileBytes = 1024;
constexpr size_t kTileRowBytes = 64;
// Tiles of sums that one tile of weights is multiplied into.
constexpr size_t kSumTiles = 4;

// Rows [first, first + rows) of one plane of the activations, and their sums.
struct ActivationTile {
  const int8_t* q = nullptr;
  const int8_t* rest = nullptr;  // [rows][64]: the columns beyond the last whole tile, then zeros.
  int32_t* sums = nullptr;
};

template <typename Args>
struct TileBlock {
  const Args& args;
  size_t rows;  // Of each tile.
  ActivationTile tiles[kSumTiles];
  alignas(64) int8_t rests[kSumTiles][kTileBytes];
  alignas(64) int32_t start[kSumTiles][kTileBytes / sizeof(int32_t)];  // Sums begin with these.
  alignas(64) int8_t room[2][kTileBytes];                              // Of tiles of weights.
};

// Calls body.template operator()<i>() for i in [0, n).
template <size_t n, size_t i = 0, typename Body>
BITLM_INLINE void Unrolled(const Body& body) {
  if constexpr (i < n) {
    body.template operator()<i>();
    Unrolled<n, i + 1>(body);
  }
}

// All panels of a block of kTiles tiles; with two planes, tiles 2 i and 2 i + 1 are those of the
// same rows.
template <typename Tiles, typename Weights, size_t kTiles, int kPlanes, typename Args>
static __attribute__((noinline)) void TilePanels(TileBlock<Args>& block) {
  const Args& args = block.args;
  const size_t whole = args.groups / kTileGroups;
  const size_t rest = args.groups % kTileGroups;
  const size_t steps = whole + (rest > 0 ? 1 : 0);
  const size_t row_bytes = static_cast<size_t>(kPlanes) * args.q_stride;
  const auto weights = [&](size_t panel, size_t step) __attribute__((always_inline)) {
    return Weights::Tile(args, panel, step * kTileGroups, step < whole ? kTileGroups : rest,
                         block.room[(panel * steps + step) % 2]);
  };
  // A step ahead: a tile that was just written cannot be loaded at once.
  const void* next = steps == 0 ? nullptr : weights(0, 0);
  for (size_t panel = 0; panel < args.row_panels; ++panel) {
    Unrolled<kTiles>([&]<size_t t>() __attribute__((always_inline)) {
      if constexpr (Weights::kExcess == 0) {
        Tiles::template Zero<t>();
      } else {
        Tiles::template Load<t>(block.start[t], kTileRowBytes);
      }
    });
    for (size_t step = 0; step < steps; ++step) {
      const void* const now = next;
      if (step + 1 < steps) {
        next = weights(panel, step + 1);
      } else if (panel + 1 < args.row_panels) {
        next = weights(panel + 1, 0);
      }
      Tiles::template Load<4>(now, kTileRowBytes);
      Unrolled<kTiles>([&]<size_t t>() __attribute__((always_inline)) {
        const ActivationTile& tile = block.tiles[t];
        if (step < whole) {
          Tiles::template Load<6 + t % 2>(tile.q + step * kTileRowBytes, row_bytes);
        } else {
          Tiles::template Load<6 + t % 2>(tile.rest, kTileRowBytes);
        }
        Tiles::template MultiplyAdd<t, 6 + t % 2, 4, Weights::kUnsigned>();
      });
    }
    const size_t offset = panel * kPanelRows;
    Unrolled<kTiles>([&]<size_t t>() __attribute__((always_inline)) {
      if constexpr (kPlanes == 1) {
        Tiles::template Store<t>(block.tiles[t].sums + offset, args.sums_stride * sizeof(int32_t));
      } else if constexpr (t % 2 == 1) {
        alignas(64) int32_t high[kTileBytes / sizeof(int32_t)];
        alignas(64) int32_t low[kTileBytes / sizeof(int32_t)];
        Tiles::template Store<t - 1>(high, kTileRowBytes);
        Tiles::template Store<t>(low, kTileRowBytes);
        for (size_t r = 0; r < block.rows; ++r) {
          const I32 sum =
              Add(ShiftLeft<7>(LoadInt(high + r * kPanelRows)), LoadInt(low + r * kPanelRows));
          StoreInt(block.tiles[t].sums + r * args.sums_stride + offset, sum);
        }
      }
    });
  }
}

// Rows [first, first + count) of the batch, at most kSumTiles tiles of all planes.
template <typename Tiles, typename Weights, int kPlanes, typename Args>
static void TileRows(const Args& args, size_t first, size_t count) {
  const size_t row_tiles = CeilDiv(count, kPanelRows);
  TileBlock<Args> block{.args = args,
                        .rows = CeilDiv(count, row_tiles),
                        .tiles = {},
                        .rests = {},
                        .start = {},
                        .room = {}};
  const size_t rest_bytes = args.groups % kTileGroups * kGroupColumns;
  const size_t rest_begin = args.groups * kGroupColumns - rest_bytes;
  for (size_t t = 0; t < row_tiles * kPlanes; ++t) {
    const size_t plane = t % kPlanes;
    // Tiles of one size: the last one may repeat rows of the one before.
    const size_t in_block = t / kPlanes * block.rows;
    const size_t row = first + (in_block + block.rows <= count ? in_block : count - block.rows);
    block.tiles[t] = {.q = args.q + (row * kPlanes + plane) * args.q_stride,
                      .rest = block.rests[t],
                      .sums = args.sums + row * args.sums_stride};
    for (size_t r = 0; r < block.rows; ++r) {
      __builtin_memcpy(block.rests[t] + r * kTileRowBytes,
                       block.tiles[t].q + r * kPlanes * args.q_stride + rest_begin, rest_bytes);
      if (Weights::kExcess == 0 || plane + 1 < kPlanes) continue;
      const auto total = static_cast<uint32_t>(args.totals[row + r]);
      for (size_t n = 0; n < kPanelRows; ++n) {
        block.start[t][r * kPanelRows + n] = static_cast<int32_t>(0 - Weights::kExcess * total);
      }
    }
  }
  Tiles::Configure(block.rows);
  switch (row_tiles) {
    case 1:
      return TilePanels<Tiles, Weights, kPlanes, kPlanes>(block);
    case 2:
      return TilePanels<Tiles, Weights, 2 * kPlanes, kPlanes>(block);
    case 3:
      if constexpr (kPlanes == 1) TilePanels<Tiles, Weights, 3, 1>(block);
      return;
    default:
      if constexpr (kPlanes == 1) TilePanels<Tiles, Weights, 4, 1>(block);
  }
}

template <typename Tiles, typename Weights, int kPlanes, typename Args>
static void TileAllRows(const Args& args) {
  constexpr size_t kMaxRows = kSumTiles / kPlanes * kPanelRows;
  size_t blocks = CeilDiv(args.batch, kMaxRows);
  for (size_t b = 0; b < args.batch; --blocks) {
    const size_t rows = CeilDiv(args.batch - b, blocks);
    TileRows<Tiles, Weights, kPlanes>(args, b, rows);
    b += rows;
  }
  Tiles::Release();
}

template <typename Tiles, typename Weights, typename Args>
static void TileGemm(const Args& args) {
  if (args.planes == 1) {
    TileAllRows<Tiles, Weights, 1>(args);
  } else {
    TileAllRows<Tiles, Weights, 2>(args);
  }
}

}  // namespace bitlm::BITLM_ISA
