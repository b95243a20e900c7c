// Sixteen lanes for AVX-512 (F, BW, DQ, VL); see README.md for what each function means. Static, so
// that no copy of them can be shared with files that are compiled for another CPU.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#define BITLM_ISA avx512
#define BITLM_INLINE static inline __attribute__((always_inline))

namespace bitlm::avx512 {

using F32 = __m512;
using I32 = __m512i;
using Mask = __mmask16;

constexpr int kVectors = 32;

BITLM_INLINE Mask FirstLanes(size_t n) {
  return n >= 16 ? static_cast<Mask>(0xffff) : static_cast<Mask>((1u << n) - 1);
}
BITLM_INLINE Mask And(Mask a, Mask b) { return static_cast<Mask>(a & b); }
BITLM_INLINE Mask Or(Mask a, Mask b) { return static_cast<Mask>(a | b); }
BITLM_INLINE int Count(Mask m) { return __builtin_popcount(m); }

BITLM_INLINE uint16_t ToBits(Mask m) { return m; }

BITLM_INLINE F32 Set(float x) { return _mm512_set1_ps(x); }
BITLM_INLINE F32 Load(const float* p) { return _mm512_loadu_ps(p); }
BITLM_INLINE F32 LoadFirst(const float* p, size_t n) {
  return _mm512_maskz_loadu_ps(FirstLanes(n), p);
}
BITLM_INLINE void Store(float* p, F32 x) { _mm512_storeu_ps(p, x); }
BITLM_INLINE void StoreFirst(float* p, F32 x, size_t n) {
  _mm512_mask_storeu_ps(p, FirstLanes(n), x);
}
BITLM_INLINE F32 Add(F32 a, F32 b) { return _mm512_add_ps(a, b); }
BITLM_INLINE F32 Sub(F32 a, F32 b) { return _mm512_sub_ps(a, b); }
BITLM_INLINE F32 Mul(F32 a, F32 b) { return _mm512_mul_ps(a, b); }
BITLM_INLINE F32 Div(F32 a, F32 b) { return _mm512_div_ps(a, b); }
BITLM_INLINE F32 SquareRoot(F32 x) { return _mm512_sqrt_ps(x); }
BITLM_INLINE F32 Fma(F32 a, F32 b, F32 c) { return _mm512_fmadd_ps(a, b, c); }
BITLM_INLINE F32 Max(F32 a, F32 b) { return _mm512_max_ps(a, b); }
BITLM_INLINE F32 Min(F32 a, F32 b) { return _mm512_min_ps(a, b); }
BITLM_INLINE F32 Abs(F32 x) { return _mm512_abs_ps(x); }
BITLM_INLINE Mask Greater(F32 a, F32 b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ); }
BITLM_INLINE Mask Equal(F32 a, F32 b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
BITLM_INLINE F32 Select(Mask m, F32 a, F32 b) { return _mm512_mask_blend_ps(m, b, a); }

BITLM_INLINE I32 SetInt(int32_t x) { return _mm512_set1_epi32(x); }
BITLM_INLINE I32 Iota(int32_t first) {
  return _mm512_add_epi32(SetInt(first),
                          _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
}
BITLM_INLINE I32 LoadInt(const int32_t* p) { return _mm512_loadu_si512(p); }
BITLM_INLINE void StoreInt(int32_t* p, I32 x) { _mm512_storeu_si512(p, x); }
BITLM_INLINE I32 LoadFirstInt(const int32_t* p, size_t n) {
  return _mm512_maskz_loadu_epi32(FirstLanes(n), p);
}
BITLM_INLINE I32 Add(I32 a, I32 b) { return _mm512_add_epi32(a, b); }
BITLM_INLINE I32 Sub(I32 a, I32 b) { return _mm512_sub_epi32(a, b); }
template <int kBits>
BITLM_INLINE I32 ShiftLeft(I32 x) {
  return _mm512_slli_epi32(x, kBits);
}
template <int kBits>
BITLM_INLINE I32 ShiftRight(I32 x) {
  return _mm512_srai_epi32(x, kBits);
}
BITLM_INLINE I32 Xor(I32 a, I32 b) { return _mm512_xor_si512(a, b); }
BITLM_INLINE Mask Less(I32 a, I32 b) { return _mm512_cmplt_epi32_mask(a, b); }
BITLM_INLINE I32 Select(Mask m, I32 a, I32 b) { return _mm512_mask_blend_epi32(m, b, a); }
BITLM_INLINE F32 ToFloat(I32 x) { return _mm512_cvtepi32_ps(x); }
BITLM_INLINE I32 RoundToInt(F32 x) { return _mm512_cvtps_epi32(x); }
BITLM_INLINE I32 BitsOf(F32 x) { return _mm512_castps_si512(x); }
BITLM_INLINE F32 FromBits(I32 x) { return _mm512_castsi512_ps(x); }
BITLM_INLINE void StoreFirstBytes(int8_t* p, I32 x, size_t n) {
  _mm512_mask_cvtepi32_storeu_epi8(p, FirstLanes(n), x);
}

BITLM_INLINE float MaxLane(F32 x) { return _mm512_reduce_max_ps(x); }
BITLM_INLINE int32_t SumLanes(I32 x) { return _mm512_reduce_add_epi32(x); }
BITLM_INLINE float SumLanes(F32 x) {
  const __m256 y = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
  const __m128 z = _mm_add_ps(_mm256_castps256_ps128(y), _mm256_extractf128_ps(y, 1));
  const __m128 w = _mm_add_ps(z, _mm_movehl_ps(z, z));
  return _mm_cvtss_f32(_mm_add_ss(w, _mm_movehdup_ps(w)));
}

// Bytes and shorts, in units of 16 bytes: Look-ups, packing and interleaving stay inside a unit.
using Bytes = __m512i;

BITLM_INLINE Bytes ZeroBytes() { return _mm512_setzero_si512(); }
BITLM_INLINE Bytes LoadBytes(const void* p) { return _mm512_loadu_si512(p); }
BITLM_INLINE void StoreBytes(void* p, Bytes x) { _mm512_storeu_si512(p, x); }
BITLM_INLINE Bytes Broadcast16(const int8_t* p) {
  return _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
BITLM_INLINE Bytes UnitNumbers() {
  return _mm512_inserti64x4(
      _mm512_castsi256_si512(_mm256_setr_m128i(_mm_set1_epi8(0), _mm_set1_epi8(1))),
      _mm256_setr_m128i(_mm_set1_epi8(2), _mm_set1_epi8(3)), 1);
}
BITLM_INLINE Bytes LookUp(Bytes table, Bytes index) { return _mm512_shuffle_epi8(table, index); }
BITLM_INLINE Bytes AddBytes(Bytes a, Bytes b) { return _mm512_add_epi8(a, b); }
BITLM_INLINE Bytes AddShorts(Bytes a, Bytes b) { return _mm512_add_epi16(a, b); }
BITLM_INLINE Bytes SubShorts(Bytes a, Bytes b) { return _mm512_sub_epi16(a, b); }
BITLM_INLINE Bytes HighBytes(Bytes x) { return _mm512_srli_epi16(x, 8); }
BITLM_INLINE Bytes SignedHighBytes(Bytes x) { return _mm512_srai_epi16(x, 8); }
BITLM_INLINE Bytes LowToHighBytes(Bytes x) { return _mm512_slli_epi16(x, 8); }
BITLM_INLINE Bytes ClearHighBytes(Bytes x) {
  return _mm512_and_si512(x, _mm512_set1_epi16(0x00ff));
}
BITLM_INLINE Bytes ClearLowBytes(Bytes x) {
  return _mm512_and_si512(x, _mm512_set1_epi16(static_cast<int16_t>(0xff00)));
}
BITLM_INLINE Bytes PackUnsigned(Bytes a, Bytes b) { return _mm512_packus_epi16(a, b); }
BITLM_INLINE Bytes PackSigned(Bytes a, Bytes b) { return _mm512_packs_epi16(a, b); }
BITLM_INLINE Bytes Nibbles(const uint64_t* words, size_t n) {
  const __m256i packed =
      n >= 4 ? _mm256_loadu_si256(reinterpret_cast<const __m256i*>(words))
             : _mm256_maskz_loadu_epi64(static_cast<__mmask8>((1u << n) - 1), words);
  const __m512i x = _mm512_cvtepu8_epi16(packed);
  return _mm512_and_si512(_mm512_or_si512(x, _mm512_slli_epi16(x, 4)), _mm512_set1_epi8(15));
}
BITLM_INLINE void StoreSigns(void* p, uint64_t bits) {
  _mm512_storeu_si512(
      p, _mm512_mask_blend_epi8(_cvtu64_mask64(bits), _mm512_set1_epi8(-1), _mm512_set1_epi8(1)));
}
BITLM_INLINE Bytes SetInts(int32_t x) { return _mm512_set1_epi32(x); }
BITLM_INLINE Bytes AddInts(Bytes a, Bytes b) { return _mm512_add_epi32(a, b); }
BITLM_INLINE Bytes SubInts(Bytes a, Bytes b) { return _mm512_sub_epi32(a, b); }
template <int kBits>
BITLM_INLINE Bytes ShiftIntsLeft(Bytes x) {
  return _mm512_slli_epi32(x, kBits);
}
BITLM_INLINE Bytes MultiplyShortPairs(Bytes a, Bytes b) { return _mm512_madd_epi16(a, b); }
BITLM_INLINE Bytes XorBytes(Bytes a, Bytes b) { return _mm512_xor_si512(a, b); }
BITLM_INLINE Bytes LowNibbles(Bytes x) { return _mm512_and_si512(x, _mm512_set1_epi8(15)); }
BITLM_INLINE Bytes HighNibbles(Bytes x) { return LowNibbles(_mm512_srli_epi16(x, 4)); }
BITLM_INLINE Bytes BroadcastWord(const uint64_t* p) {
  return _mm512_set1_epi64(static_cast<int64_t>(*p));
}
BITLM_INLINE Bytes SetLongs(int64_t x) { return _mm512_set1_epi64(x); }
BITLM_INLINE Bytes AddLongs(Bytes a, Bytes b) { return _mm512_add_epi64(a, b); }
BITLM_INLINE Bytes SubLongs(Bytes a, Bytes b) { return _mm512_sub_epi64(a, b); }
BITLM_INLINE Bytes SumEights(Bytes x) { return _mm512_sad_epu8(x, _mm512_setzero_si512()); }
BITLM_INLINE void StoreLongsAsInts(int32_t* p, Bytes x) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi64_epi32(x));
}
BITLM_INLINE I32 SumOfShorts(Bytes even, Bytes odd) {
  const auto sum = [](Bytes x) __attribute__((always_inline)) {
    const __m512i y = _mm512_add_epi32(_mm512_cvtepi16_epi32(_mm512_castsi512_si256(x)),
                                       _mm512_cvtepi16_epi32(_mm512_extracti64x4_epi64(x, 1)));
    return _mm256_add_epi32(_mm512_castsi512_si256(y), _mm512_extracti64x4_epi64(y, 1));
  };
  return _mm512_inserti64x4(_mm512_castsi256_si512(sum(_mm512_unpacklo_epi16(even, odd))),
                            sum(_mm512_unpackhi_epi16(even, odd)), 1);
}

}  // namespace bitlm::avx512
