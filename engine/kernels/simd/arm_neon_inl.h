// Sixteen lanes for NEON, in four registers; see README.md for what each function means.
// Static, so that no copy of them can be shared with files that are compiled for another CPU.
#pragma once

#include <arm_neon.h>

#include <cstddef>
#include <cstdint>

#define BITLM_ISA neon
#define BITLM_INLINE static inline __attribute__((always_inline))

namespace bitlm::neon {

template <typename Quad>
struct FourQuads {
  Quad a, b, c, d;  // Lanes 0-3, 4-7, 8-11, 12-15.
};
using F32 = FourQuads<float32x4_t>;
using I32 = FourQuads<int32x4_t>;
using Mask = FourQuads<uint32x4_t>;  // A lane is all ones or all zeros.

constexpr int kVectors = 8;

// An intrinsic on each quad.
template <auto kIntrinsic, typename... Quads>
BITLM_INLINE auto ForEach(const FourQuads<Quads>&... x) {
  return FourQuads<decltype(kIntrinsic(x.a...))>{kIntrinsic(x.a...), kIntrinsic(x.b...),
                                                 kIntrinsic(x.c...), kIntrinsic(x.d...)};
}
template <typename Quad>
BITLM_INLINE FourQuads<Quad> SetAll(Quad x) {
  return {x, x, x, x};
}

BITLM_INLINE I32 SetInt(int32_t x) { return SetAll(vdupq_n_s32(x)); }
BITLM_INLINE I32 LoadInt(const int32_t* p) {
  return {vld1q_s32(p), vld1q_s32(p + 4), vld1q_s32(p + 8), vld1q_s32(p + 12)};
}
BITLM_INLINE I32 Numbers() {
  alignas(16) static constexpr int32_t kNumbers[16] = {0, 1, 2,  3,  4,  5,  6,  7,
                                                       8, 9, 10, 11, 12, 13, 14, 15};
  return LoadInt(kNumbers);
}
BITLM_INLINE Mask FirstLanes(size_t n) {
  return ForEach<vcgtq_s32>(SetInt(n < 16 ? static_cast<int32_t>(n) : 16), Numbers());
}
BITLM_INLINE Mask And(Mask a, Mask b) { return ForEach<vandq_u32>(a, b); }
BITLM_INLINE Mask Or(Mask a, Mask b) { return ForEach<vorrq_u32>(a, b); }
BITLM_INLINE uint16_t ToBits(Mask m) {
  alignas(16) static constexpr uint32_t kBits[16] = {
      1 << 0, 1 << 1, 1 << 2,  1 << 3,  1 << 4,  1 << 5,  1 << 6,  1 << 7,
      1 << 8, 1 << 9, 1 << 10, 1 << 11, 1 << 12, 1 << 13, 1 << 14, 1 << 15};
  const Mask bits =
      And(m, {vld1q_u32(kBits), vld1q_u32(kBits + 4), vld1q_u32(kBits + 8), vld1q_u32(kBits + 12)});
  const uint32x4_t all = vorrq_u32(vorrq_u32(bits.a, bits.b), vorrq_u32(bits.c, bits.d));
  return static_cast<uint16_t>(vaddvq_u32(all));
}
BITLM_INLINE int Count(Mask m) { return __builtin_popcount(ToBits(m)); }

BITLM_INLINE F32 Set(float x) { return SetAll(vdupq_n_f32(x)); }
BITLM_INLINE F32 Load(const float* p) {
  return {vld1q_f32(p), vld1q_f32(p + 4), vld1q_f32(p + 8), vld1q_f32(p + 12)};
}
BITLM_INLINE F32 LoadFirst(const float* p, size_t n) {
  if (n >= 16) return Load(p);
  float all[16] = {};
  __builtin_memcpy(all, p, n * sizeof(float));
  return Load(all);
}
BITLM_INLINE void Store(float* p, F32 x) {
  vst1q_f32(p, x.a);
  vst1q_f32(p + 4, x.b);
  vst1q_f32(p + 8, x.c);
  vst1q_f32(p + 12, x.d);
}
BITLM_INLINE void StoreFirst(float* p, F32 x, size_t n) {
  if (n >= 16) {
    Store(p, x);
    return;
  }
  float all[16];
  Store(all, x);
  __builtin_memcpy(p, all, n * sizeof(float));
}
BITLM_INLINE F32 Add(F32 a, F32 b) { return ForEach<vaddq_f32>(a, b); }
BITLM_INLINE F32 Sub(F32 a, F32 b) { return ForEach<vsubq_f32>(a, b); }
BITLM_INLINE F32 Mul(F32 a, F32 b) { return ForEach<vmulq_f32>(a, b); }
BITLM_INLINE F32 Div(F32 a, F32 b) { return ForEach<vdivq_f32>(a, b); }
BITLM_INLINE F32 SquareRoot(F32 x) { return ForEach<vsqrtq_f32>(x); }
BITLM_INLINE F32 Fma(F32 a, F32 b, F32 c) { return ForEach<vfmaq_f32>(c, a, b); }
BITLM_INLINE F32 Abs(F32 x) { return ForEach<vabsq_f32>(x); }
BITLM_INLINE Mask Greater(F32 a, F32 b) { return ForEach<vcgtq_f32>(a, b); }
BITLM_INLINE Mask Equal(F32 a, F32 b) { return ForEach<vceqq_f32>(a, b); }
BITLM_INLINE F32 Select(Mask m, F32 a, F32 b) { return ForEach<vbslq_f32>(m, a, b); }
// Not fmax and fmin, which take NaN from either side.
BITLM_INLINE F32 Max(F32 a, F32 b) { return Select(Greater(a, b), a, b); }
BITLM_INLINE F32 Min(F32 a, F32 b) { return Select(Greater(b, a), a, b); }

BITLM_INLINE I32 Add(I32 a, I32 b) { return ForEach<vaddq_s32>(a, b); }
BITLM_INLINE I32 Sub(I32 a, I32 b) { return ForEach<vsubq_s32>(a, b); }
BITLM_INLINE I32 Iota(int32_t first) { return Add(SetInt(first), Numbers()); }
BITLM_INLINE void StoreInt(int32_t* p, I32 x) {
  vst1q_s32(p, x.a);
  vst1q_s32(p + 4, x.b);
  vst1q_s32(p + 8, x.c);
  vst1q_s32(p + 12, x.d);
}
BITLM_INLINE I32 LoadFirstInt(const int32_t* p, size_t n) {
  if (n >= 16) return LoadInt(p);
  int32_t all[16] = {};
  __builtin_memcpy(all, p, n * sizeof(int32_t));
  return LoadInt(all);
}
template <int kBits>
BITLM_INLINE I32 ShiftLeft(I32 x) {
  return {vshlq_n_s32(x.a, kBits), vshlq_n_s32(x.b, kBits), vshlq_n_s32(x.c, kBits),
          vshlq_n_s32(x.d, kBits)};
}
template <int kBits>
BITLM_INLINE I32 ShiftRight(I32 x) {
  return {vshrq_n_s32(x.a, kBits), vshrq_n_s32(x.b, kBits), vshrq_n_s32(x.c, kBits),
          vshrq_n_s32(x.d, kBits)};
}
BITLM_INLINE I32 Xor(I32 a, I32 b) { return ForEach<veorq_s32>(a, b); }
BITLM_INLINE Mask Less(I32 a, I32 b) { return ForEach<vcltq_s32>(a, b); }
BITLM_INLINE I32 Select(Mask m, I32 a, I32 b) { return ForEach<vbslq_s32>(m, a, b); }
BITLM_INLINE F32 ToFloat(I32 x) { return ForEach<vcvtq_f32_s32>(x); }
BITLM_INLINE I32 RoundToInt(F32 x) { return ForEach<vcvtnq_s32_f32>(x); }
BITLM_INLINE I32 BitsOf(F32 x) { return ForEach<vreinterpretq_s32_f32>(x); }
BITLM_INLINE F32 FromBits(I32 x) { return ForEach<vreinterpretq_f32_s32>(x); }
BITLM_INLINE void StoreFirstBytes(int8_t* p, I32 x, size_t n) {
  const int16x8_t low = vcombine_s16(vmovn_s32(x.a), vmovn_s32(x.b));
  const int16x8_t high = vcombine_s16(vmovn_s32(x.c), vmovn_s32(x.d));
  const int8x16_t out = vcombine_s8(vmovn_s16(low), vmovn_s16(high));
  if (n >= 16) {
    vst1q_s8(p, out);
    return;
  }
  int8_t all[16];
  vst1q_s8(all, out);
  __builtin_memcpy(p, all, n);
}

BITLM_INLINE float MaxLane(F32 x) {
  const F32 y = Max(x, {x.c, x.d, x.a, x.b});
  const F32 z = Max(y, {y.b, y.a, y.b, y.a});
  const float first = vgetq_lane_f32(z.a, 0), second = vgetq_lane_f32(z.a, 1);
  const float third = vgetq_lane_f32(z.a, 2), fourth = vgetq_lane_f32(z.a, 3);
  const float even = first > third ? first : third;
  const float odd = second > fourth ? second : fourth;
  return even > odd ? even : odd;
}
BITLM_INLINE int32_t SumLanes(I32 x) {
  return vaddvq_s32(vaddq_s32(vaddq_s32(x.a, x.c), vaddq_s32(x.b, x.d)));
}
BITLM_INLINE float SumLanes(F32 x) {
  const float32x4_t y = vaddq_f32(vaddq_f32(x.a, x.c), vaddq_f32(x.b, x.d));
  const float32x2_t z = vadd_f32(vget_low_f32(y), vget_high_f32(y));
  return vget_lane_f32(z, 0) + vget_lane_f32(z, 1);
}

// Bytes and shorts: a register is one unit of 16 bytes.
using Bytes = uint8x16_t;

BITLM_INLINE Bytes FromShorts(uint16x8_t x) { return vreinterpretq_u8_u16(x); }
BITLM_INLINE Bytes FromInts(int32x4_t x) { return vreinterpretq_u8_s32(x); }
BITLM_INLINE Bytes FromLongs(uint64x2_t x) { return vreinterpretq_u8_u64(x); }
BITLM_INLINE uint16x8_t Shorts(Bytes x) { return vreinterpretq_u16_u8(x); }
BITLM_INLINE int16x8_t SignedShorts(Bytes x) { return vreinterpretq_s16_u8(x); }
BITLM_INLINE int32x4_t Ints(Bytes x) { return vreinterpretq_s32_u8(x); }
BITLM_INLINE uint64x2_t Longs(Bytes x) { return vreinterpretq_u64_u8(x); }

BITLM_INLINE Bytes ZeroBytes() { return vdupq_n_u8(0); }
BITLM_INLINE Bytes LoadBytes(const void* p) { return vld1q_u8(static_cast<const uint8_t*>(p)); }
BITLM_INLINE void StoreBytes(void* p, Bytes x) { vst1q_u8(static_cast<uint8_t*>(p), x); }
BITLM_INLINE Bytes Broadcast16(const int8_t* p) { return LoadBytes(p); }
BITLM_INLINE Bytes UnitNumbers() { return ZeroBytes(); }
BITLM_INLINE Bytes LookUp(Bytes table, Bytes index) { return vqtbl1q_u8(table, index); }
BITLM_INLINE Bytes AddBytes(Bytes a, Bytes b) { return vaddq_u8(a, b); }
BITLM_INLINE Bytes AddShorts(Bytes a, Bytes b) {
  return FromShorts(vaddq_u16(Shorts(a), Shorts(b)));
}
BITLM_INLINE Bytes SubShorts(Bytes a, Bytes b) {
  return FromShorts(vsubq_u16(Shorts(a), Shorts(b)));
}
BITLM_INLINE Bytes HighBytes(Bytes x) { return FromShorts(vshrq_n_u16(Shorts(x), 8)); }
BITLM_INLINE Bytes SignedHighBytes(Bytes x) {
  return vreinterpretq_u8_s16(vshrq_n_s16(SignedShorts(x), 8));
}
BITLM_INLINE Bytes LowToHighBytes(Bytes x) { return FromShorts(vshlq_n_u16(Shorts(x), 8)); }
BITLM_INLINE Bytes ClearHighBytes(Bytes x) {
  return FromShorts(vandq_u16(Shorts(x), vdupq_n_u16(0x00ff)));
}
BITLM_INLINE Bytes ClearLowBytes(Bytes x) {
  return FromShorts(vandq_u16(Shorts(x), vdupq_n_u16(0xff00)));
}
// What fits a byte is its low byte.
BITLM_INLINE Bytes PackUnsigned(Bytes a, Bytes b) { return vuzp1q_u8(a, b); }
BITLM_INLINE Bytes PackSigned(Bytes a, Bytes b) { return vuzp1q_u8(a, b); }
BITLM_INLINE Bytes LowNibbles(Bytes x) { return vandq_u8(x, vdupq_n_u8(15)); }
BITLM_INLINE Bytes HighNibbles(Bytes x) { return vshrq_n_u8(x, 4); }
BITLM_INLINE Bytes Nibbles(const uint64_t* words, size_t) {
  const uint16x8_t x = vmovl_u8(vreinterpret_u8_u64(vld1_u64(words)));
  return LowNibbles(FromShorts(vsliq_n_u16(x, x, 4)));
}
BITLM_INLINE Bytes SetInts(int32_t x) { return FromInts(vdupq_n_s32(x)); }
BITLM_INLINE Bytes AddInts(Bytes a, Bytes b) { return FromInts(vaddq_s32(Ints(a), Ints(b))); }
BITLM_INLINE Bytes SubInts(Bytes a, Bytes b) { return FromInts(vsubq_s32(Ints(a), Ints(b))); }
template <int kBits>
BITLM_INLINE Bytes ShiftIntsLeft(Bytes x) {
  return FromInts(vshlq_n_s32(Ints(x), kBits));
}
BITLM_INLINE Bytes MultiplyShortPairs(Bytes a, Bytes b) {
  const int16x8_t x = SignedShorts(a), y = SignedShorts(b);
  return FromInts(vpaddq_s32(vmull_s16(vget_low_s16(x), vget_low_s16(y)), vmull_high_s16(x, y)));
}
BITLM_INLINE Bytes XorBytes(Bytes a, Bytes b) { return veorq_u8(a, b); }
BITLM_INLINE Bytes BroadcastWord(const uint64_t* p) { return FromLongs(vdupq_n_u64(*p)); }
BITLM_INLINE Bytes SetLongs(int64_t x) { return FromLongs(vdupq_n_u64(static_cast<uint64_t>(x))); }
BITLM_INLINE Bytes AddLongs(Bytes a, Bytes b) { return FromLongs(vaddq_u64(Longs(a), Longs(b))); }
BITLM_INLINE Bytes SubLongs(Bytes a, Bytes b) { return FromLongs(vsubq_u64(Longs(a), Longs(b))); }
BITLM_INLINE Bytes SumEights(Bytes x) { return FromLongs(vpaddlq_u32(vpaddlq_u16(vpaddlq_u8(x)))); }
BITLM_INLINE void StoreLongsAsInts(int32_t* p, Bytes x) {
  vst1_s32(p, vmovn_s64(vreinterpretq_s64_u8(x)));
}
BITLM_INLINE I32 SumOfShorts(Bytes even, Bytes odd) {
  const int16x8_t low = vzip1q_s16(SignedShorts(even), SignedShorts(odd));
  const int16x8_t high = vzip2q_s16(SignedShorts(even), SignedShorts(odd));
  return {vmovl_s16(vget_low_s16(low)), vmovl_high_s16(low), vmovl_s16(vget_low_s16(high)),
          vmovl_high_s16(high)};
}

}  // namespace bitlm::neon
