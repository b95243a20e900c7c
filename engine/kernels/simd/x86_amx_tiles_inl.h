// The tile registers of AMX (Intel 64 and IA-32 Architectures Software Developer's Manual, volume
// 1, chapter 18), as simd/tile_gemm_inl.h wants them, beside the lanes of AVX-512. By assembler:
// the intrinsics of g++ 12 take register numbers as tokens, which templates have not.
#pragma once

#include "engine/kernels/simd/x86_avx512_inl.h"

#undef BITLM_ISA
#define BITLM_ISA amx

namespace bitlm::amx {

using namespace avx512;  // NOLINT: the lanes.

struct Tiles {
  static __attribute__((always_inline)) void Configure(size_t rows) {
    struct {
      uint8_t palette = 1;
      uint8_t start_row = 0;
      uint8_t reserved[14] = {};
      uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
      uint8_t rows[16] = {};
    } config;
    static_assert(sizeof config == 64);
    for (int t = 0; t < 8; ++t) {
      config.rows[t] = t == 4 || t == 5 ? 16 : static_cast<uint8_t>(rows);
    }
    asm volatile("ldtilecfg %0" : : "m"(config));
  }
  static __attribute__((always_inline)) void Release() { asm volatile("tilerelease"); }
  template <int t>
  static __attribute__((always_inline)) void Zero() {
    asm volatile("tilezero %%tmm%c0" : : "i"(t));
  }
  template <int t>
  static __attribute__((always_inline)) void Load(const void* p, size_t row_bytes) {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(p), "r"(row_bytes), "i"(t) : "memory");
  }
  template <int t>
  static __attribute__((always_inline)) void Store(void* p, size_t row_bytes) {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(p), "r"(row_bytes), "i"(t) : "memory");
  }
  template <int sum, int a, int w, bool unsigned_weights>
  static __attribute__((always_inline)) void MultiplyAdd() {
    if constexpr (unsigned_weights) {
      asm volatile("tdpbsud %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(sum), "i"(a), "i"(w));
    } else {
      asm volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(sum), "i"(a), "i"(w));
    }
  }
};

}  // namespace bitlm::amx
