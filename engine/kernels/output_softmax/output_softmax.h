// output_softmax: what one tile of the vocabulary adds to a row's softmax.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "engine/kernels/variant.h"

namespace bitlm {

// Words of a tile. Part of the numerics: the sum of a row is a sum of tile sums.
inline constexpr size_t kSoftmaxTile = 512;

// The largest logit of a tile, and the sum of exp(logit - max) over it.
struct SoftmaxPart {
  float max = 0;
  float sum = 0;
};

// The part of `count` logits. The maximum starts from -infinity and takes x where x > max. The sum
// has 16 lanes, lane = index % 16, each added in ascending order from 0; then lanes l and l + 8 are
// added, then l and l + 4, l + 2, l + 1.
using SoftmaxTileFn = SoftmaxPart(const float* logits, size_t count);

// The same of logits that are still integer sums, as kernels/dequantize makes them without row
// scales: scale * float(sum), plus the bias.
struct SoftmaxSumsArgs {
  const int32_t* sums = nullptr;  // [count].
  float scale = 0;
  const float* bias = nullptr;  // [count] or null.
  size_t count = 0;
  float* logits = nullptr;  // [count]; out.
};
using SoftmaxSumsFn = SoftmaxPart(const SoftmaxSumsArgs& args);

// How many of the words first_id + [0, count) come before word `id` with `logit` in the order of
// descending logit, then ascending id.
struct CountBeforeArgs {
  const float* logits = nullptr;  // [count].
  size_t count = 0;
  int32_t first_id = 0;
  float logit = 0;
  int32_t id = 0;
};
using CountBeforeFn = int32_t(const CountBeforeArgs& args);

std::span<const Variant<SoftmaxTileFn>> SoftmaxTileVariants();
std::span<const Variant<SoftmaxSumsFn>> SoftmaxSumsVariants();
std::span<const Variant<CountBeforeFn>> CountBeforeVariants();

}  // namespace bitlm
