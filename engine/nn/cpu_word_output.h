// CpuWordOutput: outputs that need the logits of some words only.
#pragma once

#include <cstddef>
#include <span>

#include "absl/functional/function_ref.h"
#include "engine/base/thread_pool.h"
#include "engine/nn/cpu_logits.h"
#include "engine/nn/cpu_weights.h"
#include "engine/nn/kernel_set.h"
#include "engine/nn/language_model.h"

namespace bitlm {

// One execution of self-normalized rows: of the output table they read the panels that hold their
// words.
class CpuWordOutput {
 public:
  // Rows of one execution, so that its memory is bounded.
  static constexpr size_t kMaxRows = 512;

  // Whether a row may be among those of an execution.
  static bool Serves(const OutputRow& row) {
    return row.self_normalized && row.ranks == nullptr && (row.top_k <= 0 || !row.among.empty());
  }
  // Estimated cycles of some rows on one core.
  static double Cycles(const CpuWeights& weights, std::span<const OutputRow> rows);

  // As CpuOutput's.
  CpuWordOutput(const CpuWeights& weights, const KernelSet& kernels, size_t hidden, int planes,
                size_t hidden_offset, std::span<const OutputRow> rows, ThreadPool* pool);

  // Computes everything that the rows ask for.
  void Run();

 private:
  void Targets(size_t row) const;
  void Top(size_t row) const;
  // Calls `take(i, logit)` for i in [0, count): the logit of `word(i)`, which ascends with i.
  void ForLogits(size_t row, size_t count, absl::FunctionRef<TokenId(size_t)> word,
                 absl::FunctionRef<void(size_t, float)> take) const;

  const KernelSet& kernels_;
  const std::span<const OutputRow> rows_;
  ThreadPool* const pool_;
  CpuLogits logits_;
};

}  // namespace bitlm
