// The norms of an LSTM layer: of its gates' products W_x x and W_h h, each by itself, and with
// layer norm of the cell state, too (docs/model-format.md, docs/numerics.md section 4).
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/thread_pool.h"
#include "engine/model/model_config.h"
#include "trainer/layers/batch_norm.h"
#include "trainer/layers/layer_norm.h"
#include "trainer/layers/parameter.h"

namespace bitlm::trainer {

// gates = gain_x N(W_x x) + gain_h N(W_h h) + bias; with layer norm h = o tanh(gain_c N(c) +
// shift_c). A batch norm's statistics of W_x x are over all rows of a segment; those of W_h h are
// over the streams at each time step, because later products need what comes of them.
// Rows are t * streams + b, of which the first streams * steps count; the others stay as they are.
template <typename Real>
class LstmNorm {
 public:
  LstmNorm(NormKind kind, const std::string& name, int64_t streams, int64_t steps, int64_t rows,
           int64_t hidden);

  // Of batch norm: the streams of a step are computed together.
  bool across_streams() const { return kind_ == NormKind::kBatch; }
  std::vector<Parameter<Real>*> Parameters();
  Parameter<Real>& gain_x() { return gain_x_; }
  Parameter<Real>& gain_h() { return gain_h_; }
  Parameter<Real>& gain_c() { return gain_c_; }          // Of layer norm.
  Parameter<Real>& shift_c() { return shift_c_; }        // Of layer norm.
  BatchNorm<Real>* batch_x() { return batch_x_.get(); }  // Null without batch norm.
  BatchNorm<Real>* batch_h() { return batch_h_.get(); }

  void Pack() {
    if (batch_x_) batch_x_->Pack();
    if (batch_h_) batch_h_->Pack();
  }

  // [rows, 4H] for the products without scales, in a forward pass: W_x x of all rows before
  // ForwardX, W_h h of a step before ForwardGates. `scale` [4H] (null = 1) and the factors are what
  // the products still have to be multiplied with.
  Real* x_products() { return x_.data(); }
  Real* h_products() { return h_.data(); }
  void ForwardX(Real factor, const Real* scale, bool training, ThreadPool* pool);
  // gates, c, tanh_c, h: of `count` rows from `row`, which is the first stream of a step where the
  // norm is across streams. gates without bias.
  void ForwardGates(int64_t row, int64_t count, Real factor, const Real* scale, bool training,
                    Real* gates);
  // After the cell, with its activated gates.
  void ForwardCell(int64_t row, int64_t count, const Real* gates, const Real* c, Real* tanh_c,
                   Real* h);
  // After the last row of a training pass.
  void EndPass() {
    if (batch_x_) batch_x_->EndPass();
    if (batch_h_) batch_h_->EndPass();
  }

  // Whether the way from h to c is this class's.
  bool normalizes_cell() const { return kind_ == NormKind::kLayer; }
  // One row, before the cell: adds dC/dc by way of h. gates: the activations.
  void BackwardCell(int64_t row, const Real* gates, const Real* tanh_c, const Real* h_gradient,
                    Real* c_gradient);
  // From the gradients of the pre-activations to those of the scaled products.
  void BackwardGates(int64_t row, int64_t count, const Real* gates);
  // The same for W_x x of all rows, and the gradients of this class's parameters.
  void BackwardX(const Real* gates, ThreadPool* pool);
  const Real* x_gradient() const { return h_.data(); }
  const Real* h_gradient() const { return h_gradient_.data(); }

 private:
  static size_t Size(int64_t rows, int64_t cols) { return static_cast<size_t>(rows * cols); }
  // Pieces of rows, or of columns where rows depend on each other.
  static constexpr int64_t kPieceRows = 32, kPieceColumns = 64;

  void SetGradient(const Real* gradient, const Real* normalized, Parameter<Real>* gain) const;

  NormKind kind_;
  int64_t streams_, used_rows_, cols_, hidden_;
  Parameter<Real> gain_x_, gain_h_, gain_c_, shift_c_;
  AlignedBuffer<Real> x_, h_, h_gradient_;  // [rows, 4H]: products, then normalized ones.
  // [rows, H]: normalized c; the gradients of its scaled form and of c by way of it.
  AlignedBuffer<Real> c_, c_gradient_, through_c_;
  std::vector<Real> inverse_x_, inverse_h_, inverse_c_;  // [rows]: of layer norm.
  std::unique_ptr<BatchNorm<Real>> batch_x_, batch_h_;
};

extern template class LstmNorm<float>;
extern template class LstmNorm<double>;

}  // namespace bitlm::trainer
