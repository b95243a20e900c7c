#include "engine/nn/cpu_word_output.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "engine/kernels/panel.h"
#include "engine/nn/scratch.h"
#include "engine/nn/top_k.h"

namespace bitlm {
namespace {

// Neighbouring panels of one product at most.
constexpr size_t kMaxPanels = 32;

size_t PanelOf(TokenId word) { return static_cast<size_t>(word) / kPanelRows; }

}  // namespace

double CpuWordOutput::Cycles(const CpuWeights& weights, std::span<const OutputRow> rows) {
  const PackedMatrix& table = weights.output.matrix;
  const double panel_cycles = ProductCycles(table) / static_cast<double>(table.row_panels());
  double cycles =
      static_cast<double>(rows.size()) * ProductCycles(weights.output_projection.matrix);
  for (const OutputRow& row : rows) {
    const size_t panels = std::min(row.targets.size() + row.among.size(), table.row_panels());
    cycles += static_cast<double>(panels) * panel_cycles;
  }
  return cycles;
}

CpuWordOutput::CpuWordOutput(const CpuWeights& weights, const KernelSet& kernels, size_t hidden,
                             int planes, size_t hidden_offset, std::span<const OutputRow> rows,
                             ThreadPool* pool)
    : kernels_(kernels),
      rows_(rows),
      pool_(pool),
      logits_(weights, kernels, hidden, planes, hidden_offset, rows) {}

void CpuWordOutput::Run() {
  const size_t threads = pool_ == nullptr ? 1 : static_cast<size_t>(pool_->threads());
  const size_t share = std::min(kernels_.block_rows, CeilDiv(rows_.size(), threads));
  const auto run = [&](size_t task) {
    const size_t first = task * share;
    const size_t count = std::min(share, rows_.size() - first);
    logits_.Project(first, count);
    for (size_t row = first; row < first + count; ++row) {
      Targets(row);
      if (rows_[row].top_k > 0) Top(row);
    }
  };
  const size_t tasks = CeilDiv(rows_.size(), share);
  if (pool_ != nullptr) return pool_->ParallelFor(tasks, run);
  for (size_t task = 0; task < tasks; ++task) run(task);
}

void CpuWordOutput::Targets(size_t row) const {
  const OutputRow& out = rows_[row];
  std::vector<size_t> order(out.targets.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return out.targets[a] < out.targets[b]; });
  ForLogits(
      row, order.size(), [&](size_t i) { return out.targets[order[i]]; },
      [&](size_t i, float logit) { out.logprobs[order[i]] = logit; });
}

void CpuWordOutput::Top(size_t row) const {
  const OutputRow& out = rows_[row];
  std::vector<ScoredWord> top;
  ForLogits(
      row, out.among.size(), [&](size_t i) { return out.among[i]; },
      [&](size_t i, float logit) {
        KeepTopK({&logit, 1}, out.among[i], static_cast<size_t>(out.top_k), &top);
      });
  std::sort(top.begin(), top.end(), ComesBefore);
  for (size_t i = 0; i < top.size(); ++i) {
    out.top[i] = {.token = top[i].token, .logprob = top[i].logit};
  }
}

void CpuWordOutput::ForLogits(size_t row, size_t count, absl::FunctionRef<TokenId(size_t)> word,
                              absl::FunctionRef<void(size_t, float)> take) const {
  if (count == 0) return;
  Scratch scratch;
  const FloatRows logits = TakeFloatRows(scratch, 1, kMaxPanels * kPanelRows);
  for (size_t i = 0; i < count;) {
    // Panels side by side are one product.
    const size_t first = PanelOf(word(i));
    size_t last = first;
    size_t end = i;
    for (; end < count; ++end) {
      const size_t panel = PanelOf(word(end));
      if (panel > last + 1 || panel >= first + kMaxPanels) break;
      last = panel;
    }
    logits_.Compute(row, 1, first, last - first + 1, logits);
    for (; i < end; ++i) take(i, logits.data[static_cast<size_t>(word(i)) - first * kPanelRows]);
  }
}

}  // namespace bitlm
