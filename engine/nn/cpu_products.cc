#include "engine/nn/cpu_products.h"

#include <algorithm>

#include "engine/kernels/panel.h"

namespace bitlm {
namespace {

// Calls body(panels) over all panels, a slice for each thread.
template <typename Body>
void ForSlices(size_t row_panels, ThreadPool* pool, const Body& body) {
  if (pool == nullptr || pool->threads() == 1) {
    body(Panels{.first = 0, .count = row_panels});
    return;
  }
  const size_t slice = CeilDiv(row_panels, static_cast<size_t>(pool->threads()));
  pool->ParallelFor(CeilDiv(row_panels, slice), [&](size_t i) {
    body(Panels{.first = i * slice, .count = std::min(slice, row_panels - i * slice)});
  });
}

}  // namespace

QuantizedRows QuantizedRows::From(size_t first) const {
  return {.q = q + first * static_cast<size_t>(planes) * q_stride,
          .q_stride = q_stride,
          .planes = planes,
          .scales = scales + first,
          .totals = totals + first,
          .tables = tables == nullptr ? nullptr : tables + first * tables_bytes,
          .tables_bytes = tables_bytes};
}

QuantizedRows TakeQuantizedRows(Scratch& scratch, size_t batch, size_t columns, int planes) {
  const size_t stride = RoundUp(columns, kCacheLineBytes);
  return {.q = scratch.Take<int8_t>(batch * static_cast<size_t>(planes) * stride),
          .q_stride = stride,
          .planes = planes,
          .scales = scratch.Take<float>(batch),
          .totals = scratch.Take<int32_t>(batch)};
}

QuantizedRows Quantized(const KernelSet& kernels, Scratch& scratch, const float* const* rows,
                        size_t batch, size_t columns, int planes, QuantizationScale scale) {
  const QuantizedRows out = TakeQuantizedRows(scratch, batch, columns, planes);
  kernels.quantize({.rows = rows,
                    .batch = batch,
                    .columns = columns,
                    .planes = planes,
                    .scale = scale,
                    .q = out.q,
                    .q_stride = out.q_stride,
                    .scales = out.scales,
                    .totals = out.totals});
  return out;
}

QuantizedRows TakeSignRows(Scratch& scratch, size_t batch, size_t columns) {
  const size_t stride = CeilDiv(columns, kWordColumns);
  QuantizedRows rows{.scales = scratch.Take<float>(batch),
                     .bits = scratch.Take<uint64_t>(batch * stride),
                     .bits_stride = stride};
  std::fill_n(rows.scales, batch, 1.0f);
  return rows;
}

FloatRows TakeFloatRows(Scratch& scratch, size_t batch, size_t columns) {
  const size_t stride = RoundUp(columns, kPanelRows);
  return {.data = scratch.Take<float>(batch * stride), .stride = stride};
}

double ProductCycles(const PackedMatrix& matrix) {
  // Two vectors of 64 int8 or 16 float multiply-adds a cycle; two instructions of three on 512
  // bits.
  const double macs = static_cast<double>(matrix.rows) * static_cast<double>(matrix.columns);
  return static_cast<double>(matrix.planes) * macs /
         (matrix.sign_inputs                  ? 340
          : matrix.kind == MatrixKind::kFloat ? 32
                                              : 128);
}

void FloatPanels(const KernelSet& kernels, const PackedMatrix& matrix, Panels panels, FloatRows x,
                 size_t batch, const float* bias, bool accumulate, FloatRows out) {
  kernels.float_gemm({.panels = matrix.floats.data() + panels.first * kPanelRows * matrix.columns,
                      .row_panels = panels.count,
                      .columns = matrix.columns,
                      .x = x.data,
                      .x_stride = x.stride,
                      .batch = batch,
                      .bias = bias,
                      .accumulate = accumulate,
                      .out = out.data,
                      .out_stride = out.stride});
}

void FloatProduct(const KernelSet& kernels, const PackedMatrix& matrix, FloatRows x, size_t batch,
                  const float* bias, bool accumulate, FloatRows out, ThreadPool* pool) {
  ForSlices(matrix.row_panels(), pool, [&](Panels panels) {
    const size_t row = panels.first * kPanelRows;
    FloatPanels(kernels, matrix, panels, x, batch, bias == nullptr ? nullptr : bias + row,
                accumulate, {.data = out.data + row, .stride = out.stride});
  });
}

void IntegerPanels(const KernelSet& kernels, const PackedMatrix& matrix, size_t plane,
                   Panels panels, const QuantizedRows& x, size_t batch, int32_t* sums,
                   size_t sums_stride) {
  if (matrix.sign_inputs) {
    const size_t words = CeilDiv(matrix.columns, kWordColumns);
    kernels.xnor_gemm({.panels = matrix.Plane(plane) + panels.first * words * kPanelRows,
                       .row_panels = panels.count,
                       .columns = matrix.columns,
                       .x = x.bits,
                       .x_stride = x.bits_stride,
                       .batch = batch,
                       .sums = sums,
                       .sums_stride = sums_stride});
    return;
  }
  const size_t first_group = panels.first * matrix.groups();
  if (matrix.kind == MatrixKind::kInt8) {
    kernels.int8_gemm({.panels = matrix.int8s.data() + first_group * kGroupColumns * kPanelRows,
                       .row_panels = panels.count,
                       .groups = matrix.groups(),
                       .q = x.q,
                       .q_stride = x.q_stride,
                       .planes = x.planes,
                       .totals = x.totals,
                       .batch = batch,
                       .sums = sums,
                       .sums_stride = sums_stride});
    return;
  }
  kernels.binary_gemm({.panels = matrix.Plane(plane) + first_group,
                       .row_panels = panels.count,
                       .groups = matrix.groups(),
                       .q = x.q,
                       .q_stride = x.q_stride,
                       .planes = x.planes,
                       .totals = x.totals,
                       .batch = batch,
                       .tables = x.tables,
                       .sums = sums,
                       .sums_stride = sums_stride});
}

void IntegerProduct(const KernelSet& kernels, const PackedMatrix& matrix, size_t plane,
                    const QuantizedRows& x, size_t batch, int32_t* sums, size_t sums_stride,
                    ThreadPool* pool) {
  ForSlices(matrix.row_panels(), pool, [&](Panels panels) {
    IntegerPanels(kernels, matrix, plane, panels, x, batch, sums + panels.first * kPanelRows,
                  sums_stride);
  });
}

void IntegerLinear(const KernelSet& kernels, const PackedMatrix& matrix, const float* row_scales,
                   const float* bias, const QuantizedRows& x, size_t batch, FloatRows out,
                   ThreadPool* pool) {
  Scratch scratch;
  const size_t stride = matrix.row_panels() * kPanelRows;
  int32_t* sums = scratch.Take<int32_t>(batch * stride);
  for (size_t plane = 0; plane < matrix.planes; ++plane) {
    IntegerProduct(kernels, matrix, plane, x, batch, sums, stride, pool);
    kernels.dequantize({.x_sums = sums,
                        .x_scales = x.scales,
                        .row_scales = row_scales + plane * stride,
                        .bias = bias,
                        .accumulate = plane > 0 || bias == out.data,
                        .rows = matrix.rows,
                        .sums_stride = stride,
                        .batch = batch,
                        .out = out.data,
                        .out_stride = out.stride});
  }
}

}  // namespace bitlm
