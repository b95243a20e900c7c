#include "bench/x86_peaks.h"

#include <immintrin.h>

#include <cstdint>

namespace bitlm::bench {
namespace {

// Read at run time, so that nothing is known beforehand; written, so that nothing is left out.
volatile int seed = 3;
volatile int sink;

}  // namespace

__attribute__((target("avx512f"))) void FmaAvx512() {
  __m512 sum[12];
  for (auto& s : sum) s = _mm512_set1_ps(static_cast<float>(seed));
  const __m512 a = _mm512_set1_ps(0.5f + static_cast<float>(seed) * 1e-3f);
  for (int i = 0; i < kSteps; ++i) {
    for (auto& s : sum) s = _mm512_fmadd_ps(s, a, a);
  }
  for (int i = 1; i < 12; ++i) sum[0] = _mm512_add_ps(sum[0], sum[i]);
  sink = static_cast<int>(_mm512_cvtss_f32(sum[0]));
}

__attribute__((target("avx2,fma"))) void FmaAvx2() {
  __m256 sum[12];
  for (auto& s : sum) s = _mm256_set1_ps(static_cast<float>(seed));
  const __m256 a = _mm256_set1_ps(0.5f + static_cast<float>(seed) * 1e-3f);
  for (int i = 0; i < kSteps; ++i) {
    for (auto& s : sum) s = _mm256_fmadd_ps(s, a, a);
  }
  for (int i = 1; i < 12; ++i) sum[0] = _mm256_add_ps(sum[0], sum[i]);
  sink = static_cast<int>(_mm256_cvtss_f32(sum[0]));
}

__attribute__((target("avx512f,avx512vpopcntdq"))) void Popcount() {
  __m512i sum[12];
  for (auto& s : sum) s = _mm512_set1_epi64(seed);
  const __m512i a = _mm512_set1_epi64(seed * 0x9E3779B97F4A7C15);
  for (int i = 0; i < kSteps; ++i) {
    for (auto& s : sum) s = _mm512_add_epi64(s, _mm512_popcnt_epi64(_mm512_xor_si512(s, a)));
  }
  for (int i = 1; i < 12; ++i) sum[0] = _mm512_add_epi64(sum[0], sum[i]);
  sink = _mm512_cvtsi512_si32(sum[0]);
}

__attribute__((target("avx512f,avx512vnni"))) void Vnni() {
  __m512i sum[12];
  for (auto& s : sum) s = _mm512_set1_epi32(seed);
  const __m512i a = _mm512_set1_epi8(static_cast<char>(seed));
  for (int i = 0; i < kSteps; ++i) {
    for (auto& s : sum) s = _mm512_dpbusd_epi32(s, a, a);
  }
  for (int i = 1; i < 12; ++i) sum[0] = _mm512_add_epi32(sum[0], sum[i]);
  sink = _mm512_cvtsi512_si32(sum[0]);
}

__attribute__((target("amx-tile,amx-int8"))) void AmxInt8() {
  struct alignas(64) {
    uint8_t palette = 1, start_row = 0, reserved[14] = {};
    uint16_t column_bytes[16] = {};
    uint8_t rows[16] = {};
  } config;
  for (int t = 0; t < 8; ++t) {
    config.column_bytes[t] = 64;
    config.rows[t] = 16;
  }
  alignas(64) int8_t data[4][1024];
  for (int i = 0; i < 4096; ++i) data[i / 1024][i % 1024] = static_cast<int8_t>(i * seed * 37 >> 2);
  _tile_loadconfig(&config);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_loadd(4, data[0], 64);
  _tile_loadd(5, data[1], 64);
  _tile_loadd(6, data[2], 64);
  _tile_loadd(7, data[3], 64);
  for (int i = 0; i < kSteps; ++i) {
    _tile_dpbssd(0, 4, 6);
    _tile_dpbssd(1, 4, 7);
    _tile_dpbssd(2, 5, 6);
    _tile_dpbssd(3, 5, 7);
  }
  alignas(64) int32_t out[256];
  _tile_stored(0, out, 64);
  sink = out[0];
  _tile_release();
}

}  // namespace bitlm::bench
