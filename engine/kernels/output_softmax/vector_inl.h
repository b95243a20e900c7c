// output_softmax on the lanes of BITLM_LANES (kernels/simd).
#pragma once

#include BITLM_LANES

#include "engine/kernels/elementary/vector_inl.h"
#include "engine/kernels/output_softmax/output_softmax.h"

namespace bitlm::BITLM_ISA {

SoftmaxPart SoftmaxTile(const float* logits, size_t count) {
  const F32 lowest = Set(-__builtin_inff());
  F32 maxima = lowest;
  for (size_t v = 0; v < count; v += 16) {
    const F32 x = LoadFirst(logits + v, count - v);
    maxima = Max(Select(FirstLanes(count - v), x, lowest), maxima);
  }
  const float max = MaxLane(maxima);
  F32 sum = Set(0.0f);
  for (size_t v = 0; v < count; v += 16) {
    const F32 x = Sub(LoadFirst(logits + v, count - v), Set(max));
    sum = Select(FirstLanes(count - v), Add(sum, Exp(x)), sum);
  }
  return {.max = max, .sum = SumLanes(sum)};
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
