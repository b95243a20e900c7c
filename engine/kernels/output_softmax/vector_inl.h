// output_softmax on the lanes of BITLM_LANES (kernels/simd).
#pragma once

#include BITLM_LANES

#include "engine/kernels/elementary/vector_inl.h"
#include "engine/kernels/output_softmax/output_softmax.h"

namespace bitlm::BITLM_ISA {

// Calls body(v, n) for the n values from v on that a vector takes. The whole vectors are a loop of
// their own, in which the masks of n fall away: stores with masks make the loads after them wait.
template <typename Body>
BITLM_INLINE void ForVectors(size_t count, const Body& body) {
  size_t v = 0;
  for (; v + 16 <= count; v += 16) body(v, 16);
  if (v < count) body(v, count - v);
}

// The sum of a tile whose maximum is known. No argument is above 0, and 0 is what Exp gives below
// kExpLow, so that half of its selections fall away. Several vectors go through every operation
// side by side: one after the other, their long chains would fill the CPU's queues and wait there.
BITLM_INLINE SoftmaxPart SumOfTile(const float* logits, size_t count, F32 maxima) {
  constexpr int kSideBySide = kVectors >= 32 ? 4 : 1;
  const F32 max = Set(MaxLane(maxima));
  const F32 low = Set(elementary::kExpLow);
  F32 sum = Set(0.0f);
  size_t v = 0;
  for (; v + 16 * kSideBySide <= count; v += 16 * kSideBySide) {
    F32 x[kSideBySide], raised[kSideBySide];
    for (int i = 0; i < kSideBySide; ++i)
      x[i] = Sub(Load(logits + v + 16 * static_cast<size_t>(i)), max);
    for (int i = 0; i < kSideBySide; ++i) raised[i] = Max(x[i], low);
    ExpInRange(raised);
    for (int i = 0; i < kSideBySide; ++i)
      sum = Select(Greater(x[i], low), Add(sum, raised[i]), sum);
  }
  ForVectors(
      count - v, [&](size_t at, size_t n) __attribute__((always_inline)) {
        const F32 x = Sub(LoadFirst(logits + v + at, n), max);
        const Mask counted = And(FirstLanes(n), Greater(x, low));
        sum = Select(counted, Add(sum, ExpInRange(Max(x, low))), sum);
      });
  return {.max = MaxLane(maxima), .sum = SumLanes(sum)};
}

BITLM_INLINE F32 LargerOf(F32 maxima, F32 x, size_t count) {
  return Max(Select(FirstLanes(count), x, Set(-__builtin_inff())), maxima);
}

SoftmaxPart SoftmaxTile(const float* logits, size_t count) {
  F32 maxima = Set(-__builtin_inff());
  ForVectors(
      count, [&](size_t v, size_t n) __attribute__((always_inline)) {
        maxima = LargerOf(maxima, LoadFirst(logits + v, n), n);
      });
  return SumOfTile(logits, count, maxima);
}

SoftmaxPart SoftmaxSums(const SoftmaxSumsArgs& args) {
  const size_t count = args.count;
  const F32 scale = Set(args.scale);
  F32 maxima = Set(-__builtin_inff());
  const auto logits = [&](const auto& biased) __attribute__((always_inline)) {
    ForVectors(
        count, [&](size_t v, size_t n) __attribute__((always_inline)) {
          const F32 logit = biased(Mul(scale, ToFloat(LoadFirstInt(args.sums + v, n))), v, n);
          StoreFirst(args.logits + v, logit, n);
          maxima = LargerOf(maxima, logit, n);
        });
  };
  if (args.bias == nullptr) {
    logits([](F32 x, size_t, size_t) __attribute__((always_inline)) { return x; });
  } else {
    logits([&](F32 x, size_t v, size_t n)
               __attribute__((always_inline)) { return Add(x, LoadFirst(args.bias + v, n)); });
  }
  return SumOfTile(args.logits, count, maxima);
}

int32_t CountBefore(const CountBeforeArgs& args) {
  const F32 logit = Set(args.logit);
  const I32 id = SetInt(args.id);
  int32_t before = 0;
  for (size_t v = 0; v < args.count; v += 16) {
    const F32 x = LoadFirst(args.logits + v, args.count - v);
    const I32 ids = Iota(args.first_id + static_cast<int32_t>(v));
    const Mask earlier = Or(Greater(x, logit), And(Equal(x, logit), Less(ids, id)));
    before += Count(And(FirstLanes(args.count - v), earlier));
  }
  return before;
}

}  // namespace bitlm::BITLM_ISA
