// The output embedding and the softmax cross entropy: p_t = softmax(W_y^b z_t) ([LCY18] equations 4
// and 9, no bias).
#pragma once

#include <algorithm>
#include <atomic>
#include <vector>

#include "trainer/layers/parameter.h"

namespace bitlm::trainer {

// Works through the rows in pieces, so that logits and their gradient stay in cache: [rows, V]
// exists only once, in the product's own format, for the weight gradient.
template <typename Backend>
class OutputLayer {
 public:
  using Real = typename Backend::Real;

  // `rows` is a multiple of 32. The table is kept as [E, V].
  OutputLayer(const Backend& backend, int64_t rows, int64_t size, int64_t vocabulary, bool binary,
              Real alpha)
      : backend_(backend),
        rows_(rows),
        table_(backend, "output_embedding", size, vocabulary, binary, alpha),
        z_left_(backend.MakeLeft(rows, size)),
        z_transposed_(backend.MakeLeft(size, rows)),
        gradient_right_(backend.MakeRight(rows, vocabulary)),
        scale_(static_cast<size_t>(size)),
        losses_(static_cast<size_t>(rows)) {
    std::fill(scale_.begin(), scale_.end(), table_.factor());
    for (int i = 0; i < backend.pool()->threads(); ++i) {
      scratch_.push_back({AlignedBuffer<Real>(static_cast<size_t>(kPiece * vocabulary)),
                          backend.MakeLeft(kPiece, vocabulary)});
    }
  }

  Weight<Backend>& table() { return table_; }
  void Pack() { table_.Pack(backend_); }

  // z [rows, E]; targets [rows], negative = not scored. Returns the sum of -log p(target), nats.
  double Loss(const Real* z, const int32_t* targets) { return Run(z, targets, 0, nullptr); }

  // The same, with gradients of gradient_scale * loss: z_gradient [rows, E], and the table's.
  double LossAndGradient(const Real* z, const int32_t* targets, Real gradient_scale,
                         Real* z_gradient) {
    const double loss = Run(z, targets, gradient_scale, z_gradient);
    backend_.SetLeftTransposed(z, rows_, table_.parameter.rows, &z_transposed_);
    backend_.MultiplyAll(z_transposed_, gradient_right_, table_.parameter.gradient.data(),
                         table_.parameter.cols, false);
    return loss;
  }

 private:
  static constexpr int64_t kPiece = 64;  // Rows whose logits are computed together.

  struct Scratch {
    AlignedBuffer<Real> logits;       // [kPiece, V]
    typename Backend::Left gradient;  // [kPiece, V]
  };

  double Run(const Real* z, const int32_t* targets, Real gradient_scale, Real* z_gradient) {
    const int64_t size = table_.parameter.rows;
    const int64_t vocabulary = table_.parameter.cols;
    const int64_t pieces = (rows_ + kPiece - 1) / kPiece;
    std::atomic<int64_t> next = 0;
    backend_.pool()->ParallelFor(scratch_.size(), [&](size_t worker) {
      Scratch& scratch = scratch_[worker];
      for (int64_t piece = next++; piece < pieces; piece = next++) {
        const int64_t row = piece * kPiece;
        const int64_t count = std::min(kPiece, rows_ - row);
        // alpha is applied to z, which is smaller than the logits.
        backend_.SetLeftRows(z + row * size, count, size,
                             table_.parameter.binary() ? scale_.data() : nullptr, row, &z_left_);
        backend_.Multiply(z_left_, row, count, table_.forward, 0, vocabulary, scratch.logits.data(),
                          vocabulary, false);
        const bool gradient = z_gradient != nullptr;
        backend_.SoftmaxCrossEntropy(scratch.logits.data(), count, vocabulary, targets + row,
                                     gradient_scale, losses_.data() + row, row,
                                     gradient ? &scratch.gradient : nullptr,
                                     gradient ? &gradient_right_ : nullptr);
        if (!gradient) continue;
        Real* dz = z_gradient + row * size;
        backend_.Multiply(scratch.gradient, 0, count, table_.backward, 0, size, dz, size, false);
        if (!table_.parameter.binary()) continue;
        for (int64_t i = 0; i < count * size; ++i) dz[i] *= table_.factor();
      }
    });
    double loss = 0;
    for (const double row_loss : losses_) loss += row_loss;
    return loss;
  }

  const Backend& backend_;
  int64_t rows_;
  Weight<Backend> table_;
  typename Backend::Left z_left_, z_transposed_;
  typename Backend::Right gradient_right_;
  std::vector<Real> scale_;
  std::vector<double> losses_;
  std::vector<Scratch> scratch_;
};

}  // namespace bitlm::trainer
