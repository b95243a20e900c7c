#include <limits>

#include "engine/kernels/elementary/elementary.h"
#include "engine/kernels/output_softmax/output_softmax.h"

namespace bitlm::portable {

SoftmaxPart SoftmaxTile(const float* logits, size_t count) {
  float max = -std::numeric_limits<float>::infinity();
  for (size_t v = 0; v < count; ++v) max = logits[v] > max ? logits[v] : max;
  float lanes[16] = {};
  for (size_t v = 0; v < count; ++v) lanes[v % 16] += elementary::Exp(logits[v] - max);
  for (size_t half = 8; half > 0; half /= 2) {
    for (size_t lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
  }
  return {.max = max, .sum = lanes[0]};
}

SoftmaxPart SoftmaxSums(const SoftmaxSumsArgs& args) {
  for (size_t v = 0; v < args.count; ++v) {
    const float logit = args.scale * static_cast<float>(args.sums[v]);
    args.logits[v] = args.bias == nullptr ? logit : logit + args.bias[v];
  }
  return SoftmaxTile(args.logits, args.count);
}

int32_t CountBefore(const CountBeforeArgs& args) {
  int32_t before = 0;
  for (size_t v = 0; v < args.count; ++v) {
    const bool earlier = args.first_id + static_cast<int32_t>(v) < args.id;
    if (args.logits[v] > args.logit || (args.logits[v] == args.logit && earlier)) ++before;
  }
  return before;
}

}  // namespace bitlm::portable
