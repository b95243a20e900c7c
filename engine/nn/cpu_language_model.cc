#include "engine/nn/cpu_language_model.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <utility>

#include "absl/strings/str_format.h"
#include "engine/base/cpu_features.h"
#include "engine/base/status.h"
#include "engine/kernels/panel.h"

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
  FloatRows x = InputRows(scratch, tokens, pool);
  QuantizationScale x_scale = QuantizationScale::kRowMaximum;
  for (size_t layer = 0; layer < weights_.lstm.size(); ++layer) {
    if (layer > 0) {  // The input is the hidden state of the layer below.
      x = TakeFloatRows(scratch, tokens.size(), hidden_);
      x_scale = QuantizationScale::kHidden;
      for (size_t b = 0; b < tokens.size(); ++b) {
        std::memcpy(x.Row(b), next[b] + (layer - 1) * 2 * hidden_, hidden_ * sizeof(float));
      }
    }
    LstmLayer(layer, x, x_scale, states, next, pool);
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
  if (projection.matrix.sign_inputs) {
    // Both sides are +1 and -1, and the table's scale is the row's.
    const QuantizedRows signs = TakeSignRows(inner, batch, table.columns);
    for (size_t b = 0; b < batch; ++b) {
      weights_.EmbeddingBits(tokens[b], 0, signs.bits + b * signs.bits_stride);
      signs.scales[b] = table.scales[0];
    }
    BinaryLinear(kernels_, projection, signs, batch, out, pool);
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
  const QuantizedRows quantized = TakeQuantizedRows(inner, batch, table.columns, planes_);
  kernels_.quantize({.rows = rows,
                     .batch = batch,
                     .columns = table.columns,
                     .planes = planes_,
                     .scale = QuantizationScale::kRowMaximum,
                     .q = quantized.q,
                     .q_stride = quantized.q_stride,
                     .scales = quantized.scales,
                     .totals = quantized.totals});
  BinaryLinear(kernels_, projection, quantized, batch, out, pool);
  return out;
}

// The input of a gate's binary product: quantized, or its signs ([ZT] section 3.1).
QuantizedRows CpuLanguageModel::GateInput(Scratch& scratch, const float* const* rows, size_t batch,
                                          size_t columns, QuantizationScale scale) const {
  if (config().activation == ActivationKind::kSign) {
    const QuantizedRows out = TakeSignRows(scratch, batch, columns);
    kernels_.sign_bits({.rows = rows,
                        .batch = batch,
                        .columns = columns,
                        .bits = out.bits,
                        .stride = out.bits_stride});
    return out;
  }
  const QuantizedRows out = TakeQuantizedRows(scratch, batch, columns, planes_);
  kernels_.quantize({.rows = rows,
                     .batch = batch,
                     .columns = columns,
                     .planes = planes_,
                     .scale = scale,
                     .q = out.q,
                     .q_stride = out.q_stride,
                     .scales = out.scales,
                     .totals = out.totals});
  return out;
}

// [LCY18] equation 3 with the products of a binary layer by Algorithm 1.
void CpuLanguageModel::LstmLayer(size_t layer, FloatRows x, QuantizationScale x_scale,
                                 std::span<const float* const> states, std::span<float* const> next,
                                 ThreadPool* pool) const {
  Scratch scratch;
  const LstmWeights& lstm = weights_.lstm[layer];
  const size_t batch = states.size();
  const size_t h_offset = layer * 2 * hidden_;
  const FloatRows gates = TakeFloatRows(scratch, batch, 4 * hidden_);
  const float** h_rows = scratch.Take<const float*>(batch);
  const float** c_rows = scratch.Take<const float*>(batch);
  float** h_next = scratch.Take<float*>(batch);
  float** c_next = scratch.Take<float*>(batch);
  for (size_t b = 0; b < batch; ++b) {
    h_rows[b] = states[b] == nullptr ? nullptr : states[b] + h_offset;
    c_rows[b] = states[b] == nullptr ? nullptr : states[b] + h_offset + hidden_;
    h_next[b] = next[b] + h_offset;
    c_next[b] = next[b] + h_offset + hidden_;
  }
  if (lstm.x.kind == MatrixKind::kFloat) {
    const FloatRows h = TakeFloatRows(scratch, batch, hidden_);
    for (size_t b = 0; b < batch; ++b) {
      if (h_rows[b] == nullptr) {
        std::memset(h.Row(b), 0, hidden_ * sizeof(float));
      } else {
        std::memcpy(h.Row(b), h_rows[b], hidden_ * sizeof(float));
      }
    }
    FloatProduct(kernels_, lstm.x, x, batch, lstm.bias.data(), false, gates, pool);
    FloatProduct(kernels_, lstm.h, h, batch, nullptr, true, gates, pool);
  } else {
    const float** x_rows = scratch.Take<const float*>(batch);
    for (size_t b = 0; b < batch; ++b) x_rows[b] = x.Row(b);
    const QuantizedRows xq = GateInput(scratch, x_rows, batch, lstm.x.columns, x_scale);
    const QuantizedRows hq = GateInput(scratch, h_rows, batch, hidden_, QuantizationScale::kHidden);
    int32_t* x_sums = scratch.Take<int32_t>(batch * gates.stride);
    int32_t* h_sums = scratch.Take<int32_t>(batch * gates.stride);
    for (size_t plane = 0; plane < lstm.x.planes; ++plane) {
      IntegerProduct(kernels_, lstm.x, plane, xq, batch, x_sums, gates.stride, pool);
      IntegerProduct(kernels_, lstm.h, plane, hq, batch, h_sums, gates.stride, pool);
      const size_t scales = plane * lstm.x.row_panels() * kPanelRows;
      DequantizeArgs args{.x_sums = x_sums,
                          .x_scales = xq.scales,
                          .row_scales = lstm.row_scales.data() + scales,
                          .bias = lstm.bias.data(),
                          .accumulate = plane > 0,
                          .rows = 4 * hidden_,
                          .sums_stride = gates.stride,
                          .batch = batch,
                          .out = gates.data,
                          .out_stride = gates.stride};
      if (lstm.h_row_scales.size() == 0) {
        args.h_sums = h_sums;
        args.h_scales = hq.scales;
        kernels_.dequantize(args);
      } else {
        kernels_.dequantize(args);
        args.x_sums = h_sums;
        args.x_scales = hq.scales;
        args.row_scales = lstm.h_row_scales.data() + scales;
        args.accumulate = true;
        kernels_.dequantize(args);
      }
    }
  }
  kernels_.lstm_cell({.gates = gates.data,
                      .gates_stride = gates.stride,
                      .hidden = hidden_,
                      .batch = batch,
                      .c_previous = c_rows,
                      .h = h_next,
                      .c = c_next});
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
