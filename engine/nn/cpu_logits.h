// CpuLogits: from states to the logits of any words.
#pragma once

#include <cstddef>
#include <span>

#include "engine/kernels/panel.h"
#include "engine/nn/cpu_products.h"
#include "engine/nn/cpu_weights.h"
#include "engine/nn/kernel_set.h"
#include "engine/nn/language_model.h"
#include "engine/nn/scratch.h"

namespace bitlm {

// The output projections of an execution's rows, and products of them with panels of the output
// table.
class CpuLogits {
 public:
  // `hidden_offset` is where the last layer's h [H] begins in a state. All references must outlive
  // the object.
  CpuLogits(const CpuWeights& weights, const KernelSet& kernels, size_t hidden, int planes,
            size_t hidden_offset, std::span<const OutputRow> rows);

  // The output projection of rows [first, first + count), quantized if the output table is binary:
  // [LCY18] equation 9's W_Ty h + b_Ty. Different rows may be projected by different threads.
  void Project(size_t first, size_t count);
  // Logits of words [16 * panel, 16 * (panel + panels)) for rows [first, first + count), which have
  // been projected.
  void Compute(size_t first, size_t count, size_t panel, size_t panels, FloatRows logits) const;

  // Whether logits are scale(row) * float(sum), plus the bias: a binary table of one plane.
  bool FromSums() const {
    const PackedMatrix& matrix = weights_.output.matrix;
    return matrix.kind == MatrixKind::kBinary && matrix.planes == 1;
  }
  // The exact sums of a binary table's plane for the same words and rows.
  void Sums(size_t first, size_t count, size_t panel, size_t panels, size_t plane, int32_t* sums,
            size_t stride) const;
  float scale(size_t row) const { return z_scales_[row]; }
  // Of words from `panel` on; null without bias.
  const float* bias(size_t panel) const {
    const AlignedBuffer<float>& bias = weights_.output.bias;
    return bias.size() == 0 ? nullptr : bias.data() + panel * kPanelRows;
  }

 private:
  const CpuWeights& weights_;
  const KernelSet& kernels_;
  const size_t hidden_;
  const size_t hidden_offset_;
  const std::span<const OutputRow> rows_;

  Scratch scratch_;
  FloatRows z_;       // [rows][E].
  QuantizedRows zq_;  // Binary output table: z quantized.
  float* z_scales_;   // [planes][rows]: its scales times the table's.
};

}  // namespace bitlm
