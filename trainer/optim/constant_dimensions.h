// Dimensions of a binary output table that are the same for every word: through them the output
// projection moves all logits of a position alike, which signs that differ from word to word
// cannot do, and so log Z (self-normalization).
#pragma once

#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/base/thread_pool.h"
#include "trainer/layers/network.h"
#include "trainer/tensor/fast_backend.h"

namespace bitlm::trainer {

// Keeps constant the dimensions whose latent values are equal over all words: no list is stored, a
// checkpoint's values are the list.
class ConstantDimensions {
 public:
  ConstantDimensions() = default;
  // Of the output table. Errors: FAILED_PRECONDITION naming what does not fit: the table is not
  // binary, has no projection before it, or has no more dimensions than `count`. With count 0 the
  // rest does nothing.
  static absl::StatusOr<ConstantDimensions> Create(int count, Network<FastBackend>* network);

  // Makes so many dimensions constant, those in which the words agree most, each with the sign that
  // most words have there.
  void Fix();
  // Before an optimizer's step: latent values of constant dimensions get no gradient. The first
  // call, after Fix or a checkpoint's values, finds them.
  void MaskGradients(ThreadPool* pool);

 private:
  void Find();

  Parameter<float>* table_ = nullptr;  // [E, V]
  int count_ = 0;
  std::vector<int64_t> rows_;  // Of table_: the constant dimensions.
};

}  // namespace bitlm::trainer
