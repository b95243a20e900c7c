#include "engine/nn/cpu_logits.h"

#include <cstring>

#include "engine/kernels/panel.h"

namespace bitlm {

CpuLogits::CpuLogits(const CpuWeights& weights, const KernelSet& kernels, size_t hidden, int planes,
                     size_t hidden_offset, std::span<const OutputRow> rows)
    : weights_(weights),
      kernels_(kernels),
      hidden_(hidden),
      hidden_offset_(hidden_offset),
      rows_(rows) {
  const size_t embedding = weights.output.matrix.columns;
  z_ = TakeFloatRows(scratch_, rows.size(), embedding);
  zq_ = TakeQuantizedRows(scratch_, rows.size(), embedding, planes);
  const PackedMatrix& output = weights.output.matrix;
  if (kernels.binary_tables != nullptr && output.kind == MatrixKind::kBinary) {
    zq_.tables_bytes = BinaryTablesBytes(output.groups(), planes);
    zq_.tables = scratch_.Take<std::byte>(rows.size() * zq_.tables_bytes);
  }
  z_scales_ = scratch_.Take<float>(rows.size() * weights.output.scales.size());
}

void CpuLogits::Project(size_t first, size_t count) {
  Scratch scratch;
  const LinearWeights& projection = weights_.output_projection;
  const bool binary_output = weights_.output.matrix.kind == MatrixKind::kBinary;
  const FloatRows z{.data = z_.Row(first), .stride = z_.stride};
  const float** rows = scratch.Take<const float*>(count);
  for (size_t b = 0; b < count; ++b) rows[b] = rows_[first + b].state + hidden_offset_;
  QuantizationScale z_scale = QuantizationScale::kRowMaximum;
  if (projection.matrix.kind == MatrixKind::kNone) {
    z_scale = QuantizationScale::kHidden;
    for (size_t b = 0; b < count; ++b) std::memcpy(z.Row(b), rows[b], hidden_ * sizeof(float));
  } else if (projection.matrix.kind == MatrixKind::kFloat) {
    const FloatRows h = TakeFloatRows(scratch, count, hidden_);
    for (size_t b = 0; b < count; ++b) std::memcpy(h.Row(b), rows[b], hidden_ * sizeof(float));
    FloatProduct(kernels_, projection.matrix, h, count, projection.bias.data(), false, z, nullptr);
  } else {
    const QuantizedRows hq =
        Quantized(kernels_, scratch, rows, count, hidden_, zq_.planes, QuantizationScale::kHidden);
    IntegerLinear(kernels_, projection.matrix, projection.row_scales.data(), projection.bias.data(),
                  hq, count, z, nullptr);
  }
  if (!binary_output) return;
  for (size_t b = 0; b < count; ++b) rows[b] = z.Row(b);
  const QuantizedRows zq = zq_.From(first);
  kernels_.quantize({.rows = rows,
                     .batch = count,
                     .columns = weights_.output.matrix.columns,
                     .planes = zq.planes,
                     .scale = z_scale,
                     .q = zq.q,
                     .q_stride = zq.q_stride,
                     .scales = zq.scales,
                     .totals = zq.totals});
  if (zq.tables != nullptr) {
    kernels_.binary_tables({.q = zq.q,
                            .q_stride = zq.q_stride,
                            .planes = zq.planes,
                            .groups = weights_.output.matrix.groups(),
                            .batch = count,
                            .tables = zq.tables});
  }
  const AlignedBuffer<float>& scales = weights_.output.scales;
  for (size_t plane = 0; plane < scales.size(); ++plane) {
    float* of_plane = z_scales_ + plane * rows_.size() + first;
    for (size_t b = 0; b < count; ++b) of_plane[b] = zq.scales[b] * scales[plane];
  }
}

void CpuLogits::Compute(size_t first, size_t count, size_t panel, size_t panels,
                        FloatRows logits) const {
  const PackedMatrix& matrix = weights_.output.matrix;
  if (matrix.kind == MatrixKind::kFloat) {
    FloatPanels(kernels_, matrix, {.first = panel, .count = panels},
                {.data = z_.Row(first), .stride = z_.stride}, count, bias(panel), false, logits);
    return;
  }
  Scratch scratch;
  int32_t* sums = scratch.Take<int32_t>(count * logits.stride);
  for (size_t plane = 0; plane < matrix.planes; ++plane) {
    Sums(first, count, panel, panels, plane, sums, logits.stride);
    kernels_.dequantize({.x_sums = sums,
                         .x_scales = z_scales_ + plane * rows_.size() + first,
                         .bias = bias(panel),
                         .accumulate = plane > 0,
                         .rows = panels * kPanelRows,
                         .sums_stride = logits.stride,
                         .batch = count,
                         .out = logits.data,
                         .out_stride = logits.stride});
  }
}

void CpuLogits::Sums(size_t first, size_t count, size_t panel, size_t panels, size_t plane,
                     int32_t* sums, size_t stride) const {
  IntegerPanels(kernels_, weights_.output.matrix, plane, {.first = panel, .count = panels},
                zq_.From(first), count, sums, stride);
}

}  // namespace bitlm
