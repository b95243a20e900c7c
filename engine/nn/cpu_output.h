// CpuOutput: the output side of the CPU network, from states to log-probabilities.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "engine/base/thread_pool.h"
#include "engine/nn/cpu_logits.h"
#include "engine/nn/cpu_weights.h"
#include "engine/nn/kernel_set.h"
#include "engine/nn/language_model.h"
#include "engine/nn/scratch.h"
#include "engine/nn/top_k.h"

namespace bitlm {

// One execution: the outputs of up to kMaxRows rows, computed in one pass over tiles of the
// vocabulary. The logits of a tile live in a buffer of one thread and are never stored beyond it.
class CpuOutput {
 public:
  // `hidden_offset` is where the last layer's h [H] begins in a state. `pool` may be null. All
  // references must outlive the object.
  CpuOutput(const CpuWeights& weights, const KernelSet& kernels, size_t hidden, int planes,
            size_t hidden_offset, std::span<const OutputRow> rows, ThreadPool* pool);

  // Computes everything that the rows ask for.
  void Run();

  // Rows of one execution, so that its memory is bounded: some blocks, 512 at most, fewer for
  // large vocabularies.
  static size_t MaxRows(size_t vocabulary, size_t block_rows);

 private:
  // A target whose logit its tile delivers.
  struct TileTarget {
    size_t tile;
    size_t row;
    size_t index;
  };

  // Logits of a row's targets, ahead of the pass, for their ranks.
  void RankedLogits(size_t row);
  // Tiles of group `group` for rows [first, first + count).
  void Pass(size_t group, size_t first, size_t count);
  void CollectTile(size_t tile, size_t row, const float* logits, size_t count,
                   std::vector<ScoredWord>* top);
  // Combines the tiles of a row.
  void Finish(size_t row);

  bool Ranked(size_t row) const { return rows_[row].ranks != nullptr; }

  const KernelSet& kernels_;
  const std::span<const OutputRow> rows_;
  ThreadPool* const pool_;
  const size_t vocabulary_;
  const size_t tiles_;
  const size_t group_tiles_;
  const size_t groups_;

  CpuLogits logits_;
  Scratch scratch_;
  SoftmaxPart* parts_;                        // [rows][tiles].
  std::vector<size_t> ranked_;                // Rows with ranks.
  std::vector<TileTarget> targets_;           // Of rows without ranks, by tile, then row.
  std::vector<std::vector<ScoredWord>> top_;  // [groups][rows], empty when no row wants it.
};

}  // namespace bitlm
