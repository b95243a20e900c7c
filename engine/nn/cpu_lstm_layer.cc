#include "engine/nn/cpu_lstm_layer.h"

#include <cstring>

#include "engine/kernels/panel.h"

namespace bitlm {

void CpuLstmLayer::Advance(const Input& x, size_t offset, std::span<const float* const> states,
                           std::span<float* const> next, ThreadPool* pool) const {
  Scratch scratch;
  const size_t batch = states.size();
  const float** x_rows = scratch.Take<const float*>(batch);
  const float** h_rows = scratch.Take<const float*>(batch);
  const float** c_rows = scratch.Take<const float*>(batch);
  float** h_next = scratch.Take<float*>(batch);
  float** c_next = scratch.Take<float*>(batch);
  for (size_t b = 0; b < batch; ++b) {
    x_rows[b] = x.rows.Row(b);
    h_rows[b] = states[b] == nullptr ? nullptr : states[b] + offset;
    c_rows[b] = states[b] == nullptr ? nullptr : states[b] + offset + hidden_;
    h_next[b] = next[b] + offset;
    c_next[b] = next[b] + offset + hidden_;
  }
  Operand x_operand{.floats = x.rows, .integers = {}};
  if (weights_.x.kind != MatrixKind::kFloat) {
    x_operand = MakeOperand(scratch, x_rows, batch, weights_.x.columns, x.scale);
  }
  const Operand h_operand =
      MakeOperand(scratch, h_rows, batch, hidden_, QuantizationScale::kHidden);
  LstmCellArgs cell{
      .hidden = hidden_, .batch = batch, .c_previous = c_rows, .h = h_next, .c = c_next};
  const size_t stride = RoundUp(4 * hidden_, kPanelRows);
  if (weights_.normalizes() || weights_.x.kind == MatrixKind::kFloat || weights_.x.planes > 1) {
    const FloatRows gates = TakeFloatRows(scratch, batch, 4 * hidden_);
    if (weights_.normalizes()) {
      NormalizedGates(x_operand, h_operand, batch, gates, pool);
      cell.c_gain = weights_.c_gain.data();
      cell.c_shift = weights_.c_shift.data();
    } else {
      AddedGates(x_operand, h_operand, batch, gates, pool);
    }
    cell.gates = gates.data;
    cell.gates_stride = gates.stride;
  } else {
    int32_t* x_sums = scratch.Take<int32_t>(batch * stride);
    int32_t* h_sums = scratch.Take<int32_t>(batch * stride);
    IntegerProduct(kernels_, weights_.x, 0, x_operand.integers, batch, x_sums, stride, pool);
    IntegerProduct(kernels_, weights_.h, 0, h_operand.integers, batch, h_sums, stride, pool);
    cell.sums = {
        .x_sums = x_sums,
        .h_sums = h_sums,
        .stride = stride,
        .x_scales = x_operand.integers.scales,
        .h_scales = h_operand.integers.scales,
        .row_scales = weights_.row_scales.data(),
        .h_row_scales = weights_.h_row_scales.size() == 0 ? nullptr : weights_.h_row_scales.data(),
        .bias = weights_.bias.data()};
  }
  kernels_.lstm_cell(cell);
}

CpuLstmLayer::Operand CpuLstmLayer::MakeOperand(Scratch& scratch, const float* const* rows,
                                                size_t batch, size_t columns,
                                                QuantizationScale scale) const {
  if (weights_.h.kind == MatrixKind::kFloat) {
    const FloatRows out = TakeFloatRows(scratch, batch, columns);
    for (size_t b = 0; b < batch; ++b) {
      if (rows[b] == nullptr) {
        std::memset(out.Row(b), 0, columns * sizeof(float));
      } else {
        std::memcpy(out.Row(b), rows[b], columns * sizeof(float));
      }
    }
    return {.floats = out, .integers = {}};
  }
  if (weights_.h.sign_inputs) {
    const QuantizedRows out = TakeSignRows(scratch, batch, columns);
    kernels_.sign_bits({.rows = rows,
                        .batch = batch,
                        .columns = columns,
                        .bits = out.bits,
                        .stride = out.bits_stride});
    return {.floats = {}, .integers = out};
  }
  return {.floats = {},
          .integers = Quantized(kernels_, scratch, rows, batch, columns, planes_, scale)};
}

void CpuLstmLayer::AddedGates(const Operand& x, const Operand& h, size_t batch, FloatRows gates,
                              ThreadPool* pool) const {
  const LstmWeights& w = weights_;
  if (w.x.kind == MatrixKind::kFloat) {
    FloatProduct(kernels_, w.x, x.floats, batch, w.bias.data(), false, gates, pool);
    FloatProduct(kernels_, w.h, h.floats, batch, nullptr, true, gates, pool);
    return;
  }
  if (w.h_row_scales.size() > 0) {
    IntegerLinear(kernels_, w.x, w.row_scales.data(), w.bias.data(), x.integers, batch, gates,
                  pool);
    IntegerLinear(kernels_, w.h, w.h_row_scales.data(), gates.data, h.integers, batch, gates, pool);
    return;
  }
  Scratch scratch;
  int32_t* x_sums = scratch.Take<int32_t>(batch * gates.stride);
  int32_t* h_sums = scratch.Take<int32_t>(batch * gates.stride);
  for (size_t plane = 0; plane < w.x.planes; ++plane) {
    IntegerProduct(kernels_, w.x, plane, x.integers, batch, x_sums, gates.stride, pool);
    IntegerProduct(kernels_, w.h, plane, h.integers, batch, h_sums, gates.stride, pool);
    kernels_.dequantize({.x_sums = x_sums,
                         .x_scales = x.integers.scales,
                         .h_sums = h_sums,
                         .h_scales = h.integers.scales,
                         .row_scales = w.row_scales.data() + plane * gates.stride,
                         .bias = w.bias.data(),
                         .accumulate = plane > 0,
                         .rows = 4 * hidden_,
                         .sums_stride = gates.stride,
                         .batch = batch,
                         .out = gates.data,
                         .out_stride = gates.stride});
  }
}

void CpuLstmLayer::NormalizedGates(const Operand& x, const Operand& h, size_t batch,
                                   FloatRows gates, ThreadPool* pool) const {
  Scratch scratch;
  const FloatRows product = TakeFloatRows(scratch, batch, 4 * hidden_);
  const auto add = [&](const PackedMatrix& matrix, const AlignedBuffer<float>& scales,
                       const Operand& input, const AlignedBuffer<float>& gain, const float* shift) {
    if (matrix.kind == MatrixKind::kFloat) {
      FloatProduct(kernels_, matrix, input.floats, batch, nullptr, false, product, pool);
    } else {
      IntegerLinear(kernels_, matrix, scales.data(), nullptr, input.integers, batch, product, pool);
    }
    kernels_.layer_norm({.x = product.data,
                         .x_stride = product.stride,
                         .columns = 4 * hidden_,
                         .batch = batch,
                         .gain = gain.data(),
                         .shift = shift,
                         .out = gates.data,
                         .out_stride = gates.stride});
  };
  add(weights_.x, weights_.row_scales, x, weights_.x_gain, weights_.bias.data());
  add(weights_.h, weights_.h_row_scales, h, weights_.h_gain, nullptr);
}

}  // namespace bitlm
