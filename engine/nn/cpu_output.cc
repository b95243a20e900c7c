#include "engine/nn/cpu_output.h"

#include <algorithm>
#include <atomic>
#include <iterator>
#include <tuple>
#include <utility>

#include "absl/functional/function_ref.h"
#include "engine/kernels/elementary/elementary.h"
#include "engine/kernels/panel.h"
#include "engine/nn/cpu_language_model.h"
#include "engine/nn/cpu_word_output.h"

namespace bitlm {
namespace {

// Tiles of one task at most: few enough for their weights to stay in cache while all rows pass over
// them. And tasks for each thread, where there are so many tiles: with few, one thread waits long.
constexpr size_t kMaxGroupTiles = 4;
constexpr size_t kTasksPerThread = 8;
// Parts of rows and tiles from which they are combined by more than one thread.
constexpr size_t kParallelParts = 2048;
constexpr size_t kTilePanels = kSoftmaxTile / kPanelRows;

size_t GroupTiles(size_t tiles, const ThreadPool* pool) {
  if (pool == nullptr) return kMaxGroupTiles;
  const size_t tasks = kTasksPerThread * static_cast<size_t>(pool->threads());
  return std::clamp<size_t>(tiles / tasks, 1, kMaxGroupTiles);
}

// Those of the ascending `words` that are in [first, first + count).
std::span<const TokenId> WordsOf(std::span<const TokenId> words, TokenId first, size_t count) {
  const auto begin = std::lower_bound(words.begin(), words.end(), first);
  return {begin, std::lower_bound(begin, words.end(), first + static_cast<TokenId>(count))};
}

void ForAll(ThreadPool* pool, size_t count, absl::FunctionRef<void(size_t)> body) {
  if (pool == nullptr) {
    for (size_t i = 0; i < count; ++i) body(i);
  } else {
    pool->ParallelFor(count, body);
  }
}

}  // namespace

size_t CpuOutput::MaxRows(size_t vocabulary, size_t block_rows) {
  constexpr size_t kMaxParts = 128 * 1024;  // 1 MiB.
  const size_t rows = kMaxParts / CeilDiv(vocabulary, kSoftmaxTile) / block_rows * block_rows;
  return std::clamp<size_t>(rows, block_rows, 512);
}

CpuOutput::CpuOutput(const CpuWeights& weights, const KernelSet& kernels, size_t hidden, int planes,
                     size_t hidden_offset, std::span<const OutputRow> rows, ThreadPool* pool)
    : kernels_(kernels),
      rows_(rows),
      pool_(pool),
      vocabulary_(weights.output.matrix.rows),
      tiles_(CeilDiv(vocabulary_, kSoftmaxTile)),
      group_tiles_(GroupTiles(tiles_, pool)),
      groups_(CeilDiv(tiles_, group_tiles_)),
      logits_(weights, kernels, hidden, planes, hidden_offset, rows) {
  parts_ = scratch_.Take<SoftmaxPart>(rows.size() * tiles_);
  bool want_top = false;
  for (size_t row = 0; row < rows.size(); ++row) {
    want_top = want_top || rows[row].top_k > 0;
    if (Ranked(row)) {
      ranked_.push_back(row);
      continue;
    }
    for (size_t i = 0; i < rows[row].targets.size(); ++i) {
      targets_.push_back({.tile = static_cast<size_t>(rows[row].targets[i]) / kSoftmaxTile,
                          .row = row,
                          .index = i});
    }
  }
  std::sort(targets_.begin(), targets_.end(), [](const TileTarget& a, const TileTarget& b) {
    return std::tie(a.tile, a.row, a.index) < std::tie(b.tile, b.row, b.index);
  });
  if (want_top) top_.resize(groups_ * rows.size());
}

void CpuOutput::Run() {
  // Chunks of as equal a size as can be, so that tasks are.
  const size_t chunks = CeilDiv(rows_.size(), kernels_.block_rows);
  const size_t task_rows = CeilDiv(rows_.size(), chunks);
  const auto rows_of = [&](size_t chunk) {
    return std::min(task_rows, rows_.size() - chunk * task_rows);
  };
  // A product of its own: every thread has its share of the rows.
  const size_t share =
      pool_ == nullptr
          ? task_rows
          : std::min(task_rows, CeilDiv(rows_.size(), static_cast<size_t>(pool_->threads())));
  ForAll(pool_, CeilDiv(rows_.size(), share),
         [&](size_t i) { logits_.Project(i * share, std::min(share, rows_.size() - i * share)); });
  ForAll(pool_, ranked_.size(), [&](size_t i) { RankedLogits(ranked_[i]); });
  // Chunks inside groups: the weights of a group stay in cache while all rows pass over them.
  ForAll(pool_, groups_ * chunks, [&](size_t task) {
    Pass(task / chunks, task % chunks * task_rows, rows_of(task % chunks));
  });
  // Waking a thread takes as long as finishing some rows.
  ThreadPool* const finishing = rows_.size() * tiles_ < kParallelParts ? nullptr : pool_;
  ForAll(finishing, rows_.size(), [&](size_t row) { Finish(row); });
}

void CpuOutput::RankedLogits(size_t row) {
  const OutputRow& out = rows_[row];
  for (size_t i = 0; i < out.targets.size(); ++i) {
    Scratch scratch;
    const FloatRows logits = TakeFloatRows(scratch, 1, kPanelRows);
    const size_t word = static_cast<size_t>(out.targets[i]);
    logits_.Compute(row, 1, word / kPanelRows, 1, logits);
    out.logprobs[i] = logits.data[word % kPanelRows];
    out.ranks[i] = 1;
  }
}

void CpuOutput::Pass(size_t group, size_t first, size_t count) {
  Scratch scratch;
  // Of a binary table only the integer sums of all rows are kept; logits live from row to row.
  const bool from_sums = logits_.FromSums();
  int32_t* sums = from_sums ? scratch.Take<int32_t>(count * kSoftmaxTile) : nullptr;
  const FloatRows logits = TakeFloatRows(scratch, from_sums ? 1 : count, kSoftmaxTile);
  const size_t end = std::min(tiles_, (group + 1) * group_tiles_);
  for (size_t tile = group * group_tiles_; tile < end; ++tile) {
    const size_t words = std::min(kSoftmaxTile, vocabulary_ - tile * kSoftmaxTile);
    const size_t panels = CeilDiv(words, kPanelRows);
    if (from_sums) {
      logits_.Sums(first, count, tile * kTilePanels, panels, 0, sums, kSoftmaxTile);
    } else {
      logits_.Compute(first, count, tile * kTilePanels, panels, logits);
    }
    // The targets of these rows in this tile.
    const auto begins = [](const TileTarget& target, const std::pair<size_t, size_t>& key) {
      return std::tie(target.tile, target.row) < std::tie(key.first, key.second);
    };
    auto target =
        std::lower_bound(targets_.begin(), targets_.end(), std::pair(tile, first), begins);
    for (size_t b = 0; b < count; ++b) {
      const size_t row = first + b;
      const float* of_row = from_sums ? logits.data : logits.Row(b);
      SoftmaxPart& part = parts_[row * tiles_ + tile];
      if (from_sums) {
        part = kernels_.softmax_sums({.sums = sums + b * kSoftmaxTile,
                                      .scale = logits_.scale(row),
                                      .bias = logits_.bias(tile * kTilePanels),
                                      .count = words,
                                      .logits = logits.data});
      } else {
        part = kernels_.softmax_tile(of_row, words);
      }
      CollectTile(tile, row, of_row, words,
                  top_.empty() ? nullptr : &top_[group * rows_.size() + row]);
      for (; target != targets_.end() && target->tile == tile && target->row == row; ++target) {
        const OutputRow& out = rows_[row];
        const size_t word = static_cast<size_t>(out.targets[target->index]) % kSoftmaxTile;
        out.logprobs[target->index] = of_row[word];
      }
    }
  }
}

void CpuOutput::CollectTile(size_t tile, size_t row, const float* logits, size_t count,
                            std::vector<ScoredWord>* top) {
  const OutputRow& out = rows_[row];
  const TokenId first_id = static_cast<TokenId>(tile * kSoftmaxTile);
  if (out.top_k > 0) {
    const size_t k = static_cast<size_t>(out.top_k);
    if (out.among.empty()) KeepTopK({logits, count}, first_id, k, top);
    for (const TokenId word : WordsOf(out.among, first_id, count)) {
      KeepTopK({logits + (word - first_id), 1}, word, k, top);
    }
  }
  if (!Ranked(row)) return;
  for (size_t i = 0; i < out.targets.size(); ++i) {
    const int32_t before = kernels_.count_before({.logits = logits,
                                                  .count = count,
                                                  .first_id = first_id,
                                                  .logit = out.logprobs[i],
                                                  .id = out.targets[i]});
    // Other threads add their tiles; integers, so in any order.
    std::atomic_ref<int32_t>(out.ranks[i]).fetch_add(before, std::memory_order_relaxed);
  }
}

void CpuOutput::Finish(size_t row) {
  const OutputRow& out = rows_[row];
  const SoftmaxPart* parts = parts_ + row * tiles_;
  float max = parts[0].max;
  for (size_t tile = 1; tile < tiles_; ++tile) {
    max = parts[tile].max > max ? parts[tile].max : max;
  }
  float sum = 0.0f;
  for (size_t tile = 0; tile < tiles_; ++tile) {
    sum = std::fma(parts[tile].sum, elementary::Exp(parts[tile].max - max), sum);
  }
  const float log_sum = elementary::Log(sum);
  const auto logprob = [&](float logit) {
    return out.self_normalized ? logit : (logit - max) - log_sum;
  };
  for (size_t i = 0; i < out.targets.size(); ++i) out.logprobs[i] = logprob(out.logprobs[i]);
  if (out.top_k <= 0) return;
  std::vector<ScoredWord> words;
  for (size_t group = 0; group < groups_; ++group) {
    const std::vector<ScoredWord>& top = top_[group * rows_.size() + row];
    words.insert(words.end(), top.begin(), top.end());
  }
  const size_t k = std::min(static_cast<size_t>(out.top_k), words.size());
  std::partial_sort(words.begin(), words.begin() + static_cast<ptrdiff_t>(k), words.end(),
                    ComesBefore);
  for (size_t i = 0; i < k; ++i) {
    out.top[i] = {.token = words[i].token, .logprob = logprob(words[i].logit)};
  }
}

void CpuLanguageModel::Output(std::span<const OutputRow> rows, ThreadPool* pool) const {
  // Rows that need some words only, and the others.
  std::vector<OutputRow> of_words, of_vocabulary;
  std::partition_copy(rows.begin(), rows.end(), std::back_inserter(of_words),
                      std::back_inserter(of_vocabulary), CpuWordOutput::Serves);
  const size_t hidden_offset = (weights_.lstm.size() - 1) * 2 * hidden_;
  const auto in_steps = [&](const std::vector<OutputRow>& all, size_t step, const auto& run) {
    for (size_t first = 0; first < all.size(); first += step) {
      run(std::span(all).subspan(first, std::min(step, all.size() - first)));
    }
  };
  in_steps(of_words, CpuWordOutput::kMaxRows, [&](std::span<const OutputRow> some) {
    CpuWordOutput(weights_, kernels_, hidden_, planes_, hidden_offset, some,
                  PoolFor(CpuWordOutput::Cycles(weights_, some), pool))
        .Run();
  });
  const size_t step = CpuOutput::MaxRows(weights_.output.matrix.rows, kernels_.block_rows);
  in_steps(of_vocabulary, step, [&](std::span<const OutputRow> some) {
    const double cycles = static_cast<double>(some.size()) * ProductCycles(weights_.output.matrix);
    CpuOutput(weights_, kernels_, hidden_, planes_, hidden_offset, some, PoolFor(cycles, pool))
        .Run();
  });
}

}  // namespace bitlm
