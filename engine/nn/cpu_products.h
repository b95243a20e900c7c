// The steps of the CPU network: quantization and products of a block of rows, split over threads
// where that pays.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/base/thread_pool.h"
#include "engine/nn/cpu_weights.h"
#include "engine/nn/kernel_set.h"
#include "engine/nn/scratch.h"

namespace bitlm {

// Rows as integers: quantized, as kernels/quantize writes them, or signs.
struct QuantizedRows {
  int8_t* q = nullptr;  // [batch][planes][q_stride].
  size_t q_stride = 0;
  int planes = 1;
  float* scales = nullptr;    // [batch].
  int32_t* totals = nullptr;  // [batch].
  // For several binary products: binary_gemm's tables of q, tables_bytes each row; may be null.
  std::byte* tables = nullptr;
  size_t tables_bytes = 0;
  // Instead of q and totals, for matrices of sign_inputs: [batch][bits_stride], as
  // kernels/xnor_gemm reads them.
  uint64_t* bits = nullptr;
  size_t bits_stride = 0;

  // The same from row `first` on.
  QuantizedRows From(size_t first) const;
};

// Room for `batch` rows of `columns` values.
QuantizedRows TakeQuantizedRows(Scratch& scratch, size_t batch, size_t columns, int planes);

// The rows, of which null ones are zeros, quantized.
QuantizedRows Quantized(const KernelSet& kernels, Scratch& scratch, const float* const* rows,
                        size_t batch, size_t columns, int planes, QuantizationScale scale);

// Room for the signs of `batch` rows of `columns` values, with scales of 1.
QuantizedRows TakeSignRows(Scratch& scratch, size_t batch, size_t columns);

// Float rows with a stride.
struct FloatRows {
  float* data = nullptr;  // [batch][stride].
  size_t stride = 0;

  float* Row(size_t b) const { return data + b * stride; }
};

// Room for `batch` rows of `columns` values, rows padded to whole panels.
FloatRows TakeFloatRows(Scratch& scratch, size_t batch, size_t columns);

// Estimated cycles of a product of one row with `matrix`.
double ProductCycles(const PackedMatrix& matrix);

// Neighbouring panels of a matrix.
struct Panels {
  size_t first = 0;
  size_t count = 0;
};

// The two products below for some panels, on the caller's thread: `bias`, `out` and `sums` begin
// with the first panel's rows.
void FloatPanels(const KernelSet& kernels, const PackedMatrix& matrix, Panels panels, FloatRows x,
                 size_t batch, const float* bias, bool accumulate, FloatRows out);
void IntegerPanels(const KernelSet& kernels, const PackedMatrix& matrix, size_t plane,
                   Panels panels, const QuantizedRows& x, size_t batch, int32_t* sums,
                   size_t sums_stride);

// out = matrix * x, from bias (null = 0) or onto `out` when `accumulate`.
void FloatProduct(const KernelSet& kernels, const PackedMatrix& matrix, FloatRows x, size_t batch,
                  const float* bias, bool accumulate, FloatRows out, ThreadPool* pool);

// sums [batch][sums_stride] = the exact product of a matrix's bits of one plane, or of its int8,
// with the rows.
void IntegerProduct(const KernelSet& kernels, const PackedMatrix& matrix, size_t plane,
                    const QuantizedRows& x, size_t batch, int32_t* sums, size_t sums_stride,
                    ThreadPool* pool);

// The same with scales and bias: out[b][r] = row_scales[r] * (x.scales[b] * sum) + bias[r], planes
// added up ([LCY18] Algorithm 1). `row_scales` has a row vector for each plane. `bias` is null for
// 0, or out.data itself for what is there.
void IntegerLinear(const KernelSet& kernels, const PackedMatrix& matrix, const float* row_scales,
                   const float* bias, const QuantizedRows& x, size_t batch, FloatRows out,
                   ThreadPool* pool);

}  // namespace bitlm
