#include "engine/nn/cpu_language_model.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <utility>

#include "absl/strings/str_format.h"
#include "engine/base/cpu_features.h"
#include "engine/base/status.h"
#include "engine/kernels/panel.h"
#include "engine/nn/cpu_lstm_layer.h"

namespace bitlm {
namespace {

// Rows from which a thread computes its own: with fewer a weight is used too seldom.
constexpr size_t kLeastRows = 6;

}  // namespace

CpuLanguageModel::CpuLanguageModel(std::shared_ptr<const Model> model, CpuWeights weights,
                                   const CpuModelOptions& options)
    : model_(std::move(model)),
      weights_(std::move(weights)),
      kernels_(SelectKernels(options.features)),
      min_parallel_cycles_(options.min_parallel_cycles),
      hidden_(static_cast<size_t>(model_->config.hidden_size)),
      planes_(model_->config.activation_planes) {}

ThreadPool* CpuLanguageModel::PoolFor(double cycles, ThreadPool* pool) const {
  return pool != nullptr && pool->threads() > 1 && cycles >= min_parallel_cycles_ ? pool : nullptr;
}

void CpuLanguageModel::Advance(std::span<const TokenId> tokens,
                               std::span<const float* const> states, std::span<float* const> next,
                               ThreadPool* pool) const {
  assert(states.size() == tokens.size() && next.size() == tokens.size());
  const size_t batch = tokens.size();
  double cycles = 0;
  for (const LstmWeights& lstm : weights_.lstm) {
    cycles += static_cast<double>(batch) * (ProductCycles(lstm.x) + ProductCycles(lstm.h));
  }
  pool = PoolFor(cycles, pool);
  // Large batches are split by rows, which needs no waiting between the steps; small ones by the
  // rows of each matrix.
  const size_t threads = pool == nullptr ? 1 : static_cast<size_t>(pool->threads());
  const bool split_rows = pool != nullptr && batch >= kLeastRows * threads;
  // As many chunks for each thread, of as equal a size as can be.
  size_t chunks = std::max<size_t>(1, CeilDiv(batch, kernels_.block_rows));
  if (split_rows) chunks = RoundUp(chunks, threads);
  const size_t chunk = std::max<size_t>(1, CeilDiv(batch, chunks));
  const auto run = [&](size_t i) {
    const size_t first = i * chunk;
    const size_t count = std::min(chunk, batch - first);
    AdvanceRows(tokens.subspan(first, count), states.subspan(first, count),
                next.subspan(first, count), split_rows ? nullptr : pool);
  };
  if (split_rows) {
    pool->ParallelFor(CeilDiv(batch, chunk), run);
  } else {
    for (size_t i = 0; i < CeilDiv(batch, chunk); ++i) run(i);
  }
}

void CpuLanguageModel::AdvanceRows(std::span<const TokenId> tokens,
                                   std::span<const float* const> states,
                                   std::span<float* const> next, ThreadPool* pool) const {
  Scratch scratch;
  CpuLstmLayer::Input x{.rows = InputRows(scratch, tokens, pool)};
  for (size_t layer = 0; layer < weights_.lstm.size(); ++layer) {
    if (layer > 0) {  // The input is the hidden state of the layer below.
      x = {.rows = TakeFloatRows(scratch, tokens.size(), hidden_),
           .scale = QuantizationScale::kHidden};
      for (size_t b = 0; b < tokens.size(); ++b) {
        std::memcpy(x.rows.Row(b), next[b] + (layer - 1) * 2 * hidden_, hidden_ * sizeof(float));
      }
    }
    CpuLstmLayer(weights_.lstm[layer], kernels_, hidden_, planes_)
        .Advance(x, layer * 2 * hidden_, states, next, pool);
  }
}

FloatRows CpuLanguageModel::InputRows(Scratch& scratch, std::span<const TokenId> tokens,
                                      ThreadPool* pool) const {
  const size_t batch = tokens.size();
  const EmbeddingTable& table = weights_.embedding;
  const LinearWeights& projection = weights_.input_projection;
  const FloatRows out = TakeFloatRows(
      scratch, batch, projection.matrix.kind == MatrixKind::kNone ? table.columns : hidden_);
  if (projection.matrix.kind == MatrixKind::kNone) {
    for (size_t b = 0; b < batch; ++b) weights_.EmbeddingRow(tokens[b], out.Row(b));
    return out;
  }
  Scratch inner;
  const auto linear = [&](const QuantizedRows& rows) {
    IntegerLinear(kernels_, projection.matrix, projection.row_scales.data(), projection.bias.data(),
                  rows, batch, out, pool);
  };
  if (projection.matrix.sign_inputs) {
    // Both sides are +1 and -1, and the table's scale is the row's.
    const QuantizedRows signs = TakeSignRows(inner, batch, table.columns);
    for (size_t b = 0; b < batch; ++b) {
      weights_.EmbeddingBits(tokens[b], 0, signs.bits + b * signs.bits_stride);
      signs.scales[b] = table.scales[0];
    }
    linear(signs);
    return out;
  }
  const FloatRows embedded = TakeFloatRows(inner, batch, table.columns);
  for (size_t b = 0; b < batch; ++b) weights_.EmbeddingRow(tokens[b], embedded.Row(b));
  if (projection.matrix.kind == MatrixKind::kFloat) {
    FloatProduct(kernels_, projection.matrix, embedded, batch, projection.bias.data(), false, out,
                 pool);
    return out;
  }
  const float** rows = inner.Take<const float*>(batch);
  for (size_t b = 0; b < batch; ++b) rows[b] = embedded.Row(b);
  const QuantizedRows quantized = Quantized(kernels_, inner, rows, batch, table.columns, planes_,
                                            QuantizationScale::kRowMaximum);
  linear(quantized);
  return out;
}

absl::StatusOr<std::shared_ptr<const LanguageModel>> MakeCpuLanguageModel(
    std::shared_ptr<const Model> model, const CpuModelOptions& options) {
  BITLM_RETURN_IF_ERROR(CheckServable(model->config));
  if ((options.features & ~cpu::Usable()) != 0) {
    return absl::FailedPreconditionError(absl::StrFormat("CPU features %s asked for, %s usable",
                                                         cpu::Describe(options.features),
                                                         cpu::Describe(cpu::Usable())));
  }
  BITLM_ASSIGN_OR_RETURN(CpuWeights weights, PackWeights(*model));
  auto header = std::make_shared<const Model>(Model{.config = model->config,
                                                    .metadata = model->metadata,
                                                    .vocabulary = model->vocabulary,
                                                    .tensors = {},
                                                    .golden = model->golden});
  return std::make_shared<const CpuLanguageModel>(std::move(header), std::move(weights), options);
}

absl::StatusOr<std::shared_ptr<const LanguageModel>> MakeCpuLanguageModel(
    std::shared_ptr<const Model> model, uint32_t cpu_features) {
  return MakeCpuLanguageModel(std::move(model), CpuModelOptions{.features = cpu_features});
}

absl::StatusOr<std::shared_ptr<const LanguageModel>> MakeCpuLanguageModel(
    std::shared_ptr<const Model> model) {
  return MakeCpuLanguageModel(std::move(model), cpu::Usable());
}

}  // namespace bitlm
