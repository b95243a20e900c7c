// Sixteen lanes for AVX2 and FMA, in two registers; see README.md for what each function means.
// Static, so that no copy of them can be shared with files that are compiled for another CPU.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#define BITLM_ISA avx2
#define BITLM_INLINE static inline __attribute__((always_inline))

namespace bitlm::avx2 {

struct F32 {
  __m256 low, high;
};
struct I32 {
  __m256i low, high;
};
struct Mask {  // A lane is all ones or all zeros.
  __m256i low, high;
};

constexpr int kVectors = 8;

BITLM_INLINE Mask FirstLanes(size_t n) {
  const __m256i count = _mm256_set1_epi32(n < 16 ? static_cast<int>(n) : 16);
  return {_mm256_cmpgt_epi32(count, _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)),
          _mm256_cmpgt_epi32(count, _mm256_setr_epi32(8, 9, 10, 11, 12, 13, 14, 15))};
}
BITLM_INLINE Mask And(Mask a, Mask b) {
  return {_mm256_and_si256(a.low, b.low), _mm256_and_si256(a.high, b.high)};
}
BITLM_INLINE Mask Or(Mask a, Mask b) {
  return {_mm256_or_si256(a.low, b.low), _mm256_or_si256(a.high, b.high)};
}
BITLM_INLINE uint16_t ToBits(Mask m) {
  const int low = _mm256_movemask_ps(_mm256_castsi256_ps(m.low));
  const int high = _mm256_movemask_ps(_mm256_castsi256_ps(m.high));
  return static_cast<uint16_t>(low | high << 8);
}
BITLM_INLINE int Count(Mask m) { return __builtin_popcount(ToBits(m)); }

BITLM_INLINE F32 Set(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
BITLM_INLINE F32 Load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
BITLM_INLINE F32 LoadFirst(const float* p, size_t n) {
  if (n >= 16) return Load(p);
  const Mask m = FirstLanes(n);
  return {_mm256_maskload_ps(p, m.low), _mm256_maskload_ps(p + 8, m.high)};
}
BITLM_INLINE void Store(float* p, F32 x) {
  _mm256_storeu_ps(p, x.low);
  _mm256_storeu_ps(p + 8, x.high);
}
BITLM_INLINE void StoreFirst(float* p, F32 x, size_t n) {
  if (n >= 16) {
    Store(p, x);
    return;
  }
  const Mask m = FirstLanes(n);
  _mm256_maskstore_ps(p, m.low, x.low);
  _mm256_maskstore_ps(p + 8, m.high, x.high);
}
BITLM_INLINE F32 Add(F32 a, F32 b) {
  return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)};
}
BITLM_INLINE F32 Sub(F32 a, F32 b) {
  return {_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)};
}
BITLM_INLINE F32 Mul(F32 a, F32 b) {
  return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)};
}
BITLM_INLINE F32 Div(F32 a, F32 b) {
  return {_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high)};
}
BITLM_INLINE F32 SquareRoot(F32 x) { return {_mm256_sqrt_ps(x.low), _mm256_sqrt_ps(x.high)}; }
BITLM_INLINE F32 Fma(F32 a, F32 b, F32 c) {
  return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}
BITLM_INLINE F32 Max(F32 a, F32 b) {
  return {_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)};
}
BITLM_INLINE F32 Min(F32 a, F32 b) {
  return {_mm256_min_ps(a.low, b.low), _mm256_min_ps(a.high, b.high)};
}
BITLM_INLINE F32 Abs(F32 x) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_andnot_ps(sign, x.low), _mm256_andnot_ps(sign, x.high)};
}
BITLM_INLINE Mask Greater(F32 a, F32 b) {
  return {_mm256_castps_si256(_mm256_cmp_ps(a.low, b.low, _CMP_GT_OQ)),
          _mm256_castps_si256(_mm256_cmp_ps(a.high, b.high, _CMP_GT_OQ))};
}
BITLM_INLINE Mask Equal(F32 a, F32 b) {
  return {_mm256_castps_si256(_mm256_cmp_ps(a.low, b.low, _CMP_EQ_OQ)),
          _mm256_castps_si256(_mm256_cmp_ps(a.high, b.high, _CMP_EQ_OQ))};
}
BITLM_INLINE F32 Select(Mask m, F32 a, F32 b) {
  return {_mm256_blendv_ps(b.low, a.low, _mm256_castsi256_ps(m.low)),
          _mm256_blendv_ps(b.high, a.high, _mm256_castsi256_ps(m.high))};
}

BITLM_INLINE I32 SetInt(int32_t x) { return {_mm256_set1_epi32(x), _mm256_set1_epi32(x)}; }
BITLM_INLINE I32 Add(I32 a, I32 b) {
  return {_mm256_add_epi32(a.low, b.low), _mm256_add_epi32(a.high, b.high)};
}
BITLM_INLINE I32 Sub(I32 a, I32 b) {
  return {_mm256_sub_epi32(a.low, b.low), _mm256_sub_epi32(a.high, b.high)};
}
BITLM_INLINE I32 Iota(int32_t first) {
  return Add(SetInt(first), {_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7),
                             _mm256_setr_epi32(8, 9, 10, 11, 12, 13, 14, 15)});
}
BITLM_INLINE I32 LoadInt(const int32_t* p) {
  return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)),
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 8))};
}
BITLM_INLINE void StoreInt(int32_t* p, I32 x) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), x.low);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p + 8), x.high);
}
BITLM_INLINE I32 LoadFirstInt(const int32_t* p, size_t n) {
  if (n >= 16) return LoadInt(p);
  const Mask m = FirstLanes(n);
  return {_mm256_maskload_epi32(p, m.low), _mm256_maskload_epi32(p + 8, m.high)};
}
template <int kBits>
BITLM_INLINE I32 ShiftLeft(I32 x) {
  return {_mm256_slli_epi32(x.low, kBits), _mm256_slli_epi32(x.high, kBits)};
}
template <int kBits>
BITLM_INLINE I32 ShiftRight(I32 x) {
  return {_mm256_srai_epi32(x.low, kBits), _mm256_srai_epi32(x.high, kBits)};
}
BITLM_INLINE I32 Xor(I32 a, I32 b) {
  return {_mm256_xor_si256(a.low, b.low), _mm256_xor_si256(a.high, b.high)};
}
BITLM_INLINE Mask Less(I32 a, I32 b) {
  return {_mm256_cmpgt_epi32(b.low, a.low), _mm256_cmpgt_epi32(b.high, a.high)};
}
BITLM_INLINE I32 Select(Mask m, I32 a, I32 b) {
  return {_mm256_blendv_epi8(b.low, a.low, m.low), _mm256_blendv_epi8(b.high, a.high, m.high)};
}
BITLM_INLINE F32 ToFloat(I32 x) { return {_mm256_cvtepi32_ps(x.low), _mm256_cvtepi32_ps(x.high)}; }
BITLM_INLINE I32 RoundToInt(F32 x) {
  return {_mm256_cvtps_epi32(x.low), _mm256_cvtps_epi32(x.high)};
}
BITLM_INLINE I32 BitsOf(F32 x) { return {_mm256_castps_si256(x.low), _mm256_castps_si256(x.high)}; }
BITLM_INLINE F32 FromBits(I32 x) {
  return {_mm256_castsi256_ps(x.low), _mm256_castsi256_ps(x.high)};
}
BITLM_INLINE void StoreFirstBytes(int8_t* p, I32 x, size_t n) {
  // Packs within halves of registers: rows 0-3, 8-11, 4-7, 12-15, put in order by the permutation.
  const __m256i shorts = _mm256_packs_epi32(x.low, x.high);
  const __m256i bytes = _mm256_packs_epi16(shorts, shorts);
  const __m256i ordered =
      _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 0, 0, 0, 0));
  const __m128i out = _mm256_castsi256_si128(ordered);
  if (n >= 16) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), out);
    return;
  }
  int8_t all[16];
  _mm_storeu_si128(reinterpret_cast<__m128i*>(all), out);
  __builtin_memcpy(p, all, n);
}

BITLM_INLINE float MaxLane(F32 x) {
  const __m256 y = _mm256_max_ps(x.low, x.high);
  const __m128 z = _mm_max_ps(_mm256_castps256_ps128(y), _mm256_extractf128_ps(y, 1));
  const __m128 w = _mm_max_ps(z, _mm_movehl_ps(z, z));
  return _mm_cvtss_f32(_mm_max_ss(w, _mm_movehdup_ps(w)));
}
BITLM_INLINE int32_t SumLanes(I32 x) {
  const __m256i y = _mm256_add_epi32(x.low, x.high);
  const __m128i z = _mm_add_epi32(_mm256_castsi256_si128(y), _mm256_extracti128_si256(y, 1));
  const __m128i w = _mm_add_epi32(z, _mm_shuffle_epi32(z, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(w, _mm_shuffle_epi32(w, 0xb1)));
}
BITLM_INLINE float SumLanes(F32 x) {
  const __m256 y = _mm256_add_ps(x.low, x.high);
  const __m128 z = _mm_add_ps(_mm256_castps256_ps128(y), _mm256_extractf128_ps(y, 1));
  const __m128 w = _mm_add_ps(z, _mm_movehl_ps(z, z));
  return _mm_cvtss_f32(_mm_add_ss(w, _mm_movehdup_ps(w)));
}

// Bytes and shorts, in units of 16 bytes: Look-ups, packing and interleaving stay inside a unit.
using Bytes = __m256i;

BITLM_INLINE Bytes ZeroBytes() { return _mm256_setzero_si256(); }
BITLM_INLINE Bytes LoadBytes(const void* p) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}
BITLM_INLINE void StoreBytes(void* p, Bytes x) { _mm256_storeu_si256(static_cast<__m256i*>(p), x); }
BITLM_INLINE Bytes Broadcast16(const int8_t* p) {
  return _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
BITLM_INLINE Bytes UnitNumbers() { return _mm256_setr_m128i(_mm_set1_epi8(0), _mm_set1_epi8(1)); }
BITLM_INLINE Bytes LookUp(Bytes table, Bytes index) { return _mm256_shuffle_epi8(table, index); }
BITLM_INLINE Bytes AddBytes(Bytes a, Bytes b) { return _mm256_add_epi8(a, b); }
BITLM_INLINE Bytes AddShorts(Bytes a, Bytes b) { return _mm256_add_epi16(a, b); }
BITLM_INLINE Bytes SubShorts(Bytes a, Bytes b) { return _mm256_sub_epi16(a, b); }
BITLM_INLINE Bytes HighBytes(Bytes x) { return _mm256_srli_epi16(x, 8); }
BITLM_INLINE Bytes SignedHighBytes(Bytes x) { return _mm256_srai_epi16(x, 8); }
BITLM_INLINE Bytes LowToHighBytes(Bytes x) { return _mm256_slli_epi16(x, 8); }
BITLM_INLINE Bytes ClearHighBytes(Bytes x) {
  return _mm256_and_si256(x, _mm256_set1_epi16(0x00ff));
}
BITLM_INLINE Bytes ClearLowBytes(Bytes x) {
  return _mm256_and_si256(x, _mm256_set1_epi16(static_cast<int16_t>(0xff00)));
}
BITLM_INLINE Bytes PackUnsigned(Bytes a, Bytes b) { return _mm256_packus_epi16(a, b); }
BITLM_INLINE Bytes PackSigned(Bytes a, Bytes b) { return _mm256_packs_epi16(a, b); }
BITLM_INLINE Bytes Nibbles(const uint64_t* words, size_t n) {
  const auto* from = reinterpret_cast<const __m128i*>(words);
  const __m256i x = _mm256_cvtepu8_epi16(n >= 2 ? _mm_loadu_si128(from) : _mm_loadl_epi64(from));
  return _mm256_and_si256(_mm256_or_si256(x, _mm256_slli_epi16(x, 4)), _mm256_set1_epi8(15));
}
BITLM_INLINE Bytes SetInts(int32_t x) { return _mm256_set1_epi32(x); }
BITLM_INLINE Bytes AddInts(Bytes a, Bytes b) { return _mm256_add_epi32(a, b); }
BITLM_INLINE Bytes SubInts(Bytes a, Bytes b) { return _mm256_sub_epi32(a, b); }
template <int kBits>
BITLM_INLINE Bytes ShiftIntsLeft(Bytes x) {
  return _mm256_slli_epi32(x, kBits);
}
BITLM_INLINE Bytes MultiplyShortPairs(Bytes a, Bytes b) { return _mm256_madd_epi16(a, b); }
BITLM_INLINE Bytes XorBytes(Bytes a, Bytes b) { return _mm256_xor_si256(a, b); }
BITLM_INLINE Bytes LowNibbles(Bytes x) { return _mm256_and_si256(x, _mm256_set1_epi8(15)); }
BITLM_INLINE Bytes HighNibbles(Bytes x) { return LowNibbles(_mm256_srli_epi16(x, 4)); }
BITLM_INLINE Bytes BroadcastWord(const uint64_t* p) {
  return _mm256_set1_epi64x(static_cast<int64_t>(*p));
}
BITLM_INLINE Bytes SetLongs(int64_t x) { return _mm256_set1_epi64x(x); }
BITLM_INLINE Bytes AddLongs(Bytes a, Bytes b) { return _mm256_add_epi64(a, b); }
BITLM_INLINE Bytes SubLongs(Bytes a, Bytes b) { return _mm256_sub_epi64(a, b); }
BITLM_INLINE Bytes SumEights(Bytes x) { return _mm256_sad_epu8(x, _mm256_setzero_si256()); }
BITLM_INLINE void StoreLongsAsInts(int32_t* p, Bytes x) {
  const __m256i low = _mm256_permutevar8x32_epi32(x, _mm256_setr_epi32(0, 2, 4, 6, 0, 0, 0, 0));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_castsi256_si128(low));
}
BITLM_INLINE I32 SumOfShorts(Bytes even, Bytes odd) {
  const __m256i low = _mm256_unpacklo_epi16(even, odd);
  const __m256i high = _mm256_unpackhi_epi16(even, odd);
  return {_mm256_add_epi32(_mm256_cvtepi16_epi32(_mm256_castsi256_si128(low)),
                           _mm256_cvtepi16_epi32(_mm256_extracti128_si256(low, 1))),
          _mm256_add_epi32(_mm256_cvtepi16_epi32(_mm256_castsi256_si128(high)),
                           _mm256_cvtepi16_epi32(_mm256_extracti128_si256(high, 1)))};
}

}  // namespace bitlm::avx2
