// output_softmax on the lanes of BITLM_LANES (kernels/simd).
#pragma once

#include BITLM_LANES

#include "engine/kernels/elementary/vector_inl.h"
#include "engine/kernels/output_softmax/output_softmax.h"

namespace bitlm::BITLM_ISA {

// The sum of a tile whose maximum is known. No argument is above 0, and 0 is what Exp gives below
// kExpLow, so that half of its selections fall away.
BITLM_INLINE SoftmaxPart SumOfTile(const float* logits, size_t count, F32 maxima) {
  const F32 max = Set(MaxLane(maxima));
  const F32 low = Set(elementary::kExpLow);
  F32 sum = Set(0.0f);
  for (size_t v = 0; v < count; v += 16) {
    const F32 x = Sub(LoadFirst(logits + v, count - v), max);
    const Mask counted = And(FirstLanes(count - v), Greater(x, low));
    sum = Select(counted, Add(sum, ExpInRange(Max(x, low))), sum);
  }
  return {.max = MaxLane(maxima), .sum = SumLanes(sum)};
}

BITLM_INLINE F32 LargerOf(F32 maxima, F32 x, size_t count) {
  return Max(Select(FirstLanes(count), x, Set(-__builtin_inff())), maxima);
}

SoftmaxPart SoftmaxTile(const float* logits, size_t count) {
  F32 maxima = Set(-__builtin_inff());
  for (size_t v = 0; v < count; v += 16) {
    maxima = LargerOf(maxima, LoadFirst(logits + v, count - v), count - v);
  }
  return SumOfTile(logits, count, maxima);
}

SoftmaxPart SoftmaxSums(const SoftmaxSumsArgs& args) {
  const size_t count = args.count;
  const F32 scale = Set(args.scale);
  F32 maxima = Set(-__builtin_inff());
  for (size_t v = 0; v < count; v += 16) {
    F32 logit = Mul(scale, ToFloat(LoadFirstInt(args.sums + v, count - v)));
    if (args.bias != nullptr) logit = Add(logit, LoadFirst(args.bias + v, count - v));
    StoreFirst(args.logits + v, logit, count - v);
    maxima = LargerOf(maxima, logit, count - v);
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
