// The tile registers of AMX in plain loops, as simd/tile_gemm_inl.h wants them, beside the lanes of
// AVX-512: tests run the tile products on machines without such registers.
#pragma once

#include "engine/kernels/simd/x86_avx512_inl.h"

#undef BITLM_ISA
#define BITLM_ISA emulated_amx

namespace bitlm::emulated_amx {

using namespace avx512;  // NOLINT: the lanes.

static size_t tile_rows[8];
static uint8_t tile_bytes[8][16][64];

struct Tiles {
  static __attribute__((always_inline)) void Configure(size_t rows) {
    if (rows == 0 || rows > 16) __builtin_trap();
    for (int t = 0; t < 8; ++t) tile_rows[t] = t == 4 || t == 5 ? 16 : rows;
    __builtin_memset(tile_bytes, 0, sizeof tile_bytes);
  }
  static __attribute__((always_inline)) void Release() {
    __builtin_memset(tile_rows, 0, sizeof tile_rows);
  }
  template <int t>
  static __attribute__((always_inline)) void Zero() {
    if (tile_rows[t] == 0) __builtin_trap();
    __builtin_memset(tile_bytes[t], 0, sizeof tile_bytes[t]);
  }
  template <int t>
  static __attribute__((always_inline)) void Load(const void* p, size_t row_bytes) {
    if (tile_rows[t] == 0) __builtin_trap();
    for (size_t r = 0; r < tile_rows[t]; ++r) {
      __builtin_memcpy(tile_bytes[t][r], static_cast<const uint8_t*>(p) + r * row_bytes, 64);
    }
  }
  template <int t>
  static __attribute__((always_inline)) void Store(void* p, size_t row_bytes) {
    if (tile_rows[t] == 0) __builtin_trap();
    for (size_t r = 0; r < tile_rows[t]; ++r) {
      __builtin_memcpy(static_cast<uint8_t*>(p) + r * row_bytes, tile_bytes[t][r], 64);
    }
  }
  template <int sum, int a, int w, bool unsigned_weights>
  static __attribute__((always_inline)) void MultiplyAdd() {
    for (size_t m = 0; m < tile_rows[sum]; ++m) {
      for (size_t n = 0; n < 16; ++n) {
        uint32_t total;
        __builtin_memcpy(&total, &tile_bytes[sum][m][4 * n], sizeof total);
        for (size_t g = 0; g < 16; ++g) {
          for (size_t k = 0; k < 4; ++k) {
            const uint8_t byte = tile_bytes[w][g][4 * n + k];
            const int weight = unsigned_weights ? byte : static_cast<int8_t>(byte);
            total +=
                static_cast<uint32_t>(static_cast<int8_t>(tile_bytes[a][m][4 * g + k]) * weight);
          }
        }
        __builtin_memcpy(&tile_bytes[sum][m][4 * n], &total, sizeof total);
      }
    }
  }
};

}  // namespace bitlm::emulated_amx
