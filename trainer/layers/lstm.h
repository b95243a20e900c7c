// An LSTM layer over a segment of T steps of B streams ([LCY18] section 3.1, equation 3), float or
// binarized (section 3.3; [ZT] section 3.1).
#pragma once

#include <algorithm>
#include <cmath>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/model/model_config.h"
#include "trainer/layers/activation_quantization.h"
#include "trainer/layers/lstm_cell.h"
#include "trainer/layers/lstm_norm.h"
#include "trainer/layers/matrix_scale.h"
#include "trainer/layers/parameter.h"
#include "trainer/layers/sign_activation.h"

namespace bitlm::trainer {

// h and c of one layer, [B, H] each.
template <typename Real>
struct LstmState {
  AlignedBuffer<Real> h, c;
};

// The options of ModelConfig that an LSTM layer has.
struct LstmKind {
  bool binary = false;                   // W_x and W_h.
  ScaleKind scale = ScaleKind::kPerRow;  // Of binary matrices.
  ActivationKind activation = ActivationKind::kReal;
  NormKind norm = NormKind::kNone;
  bool binary_bias = false;  // b ~ alpha_b sign(b); of binary matrices with a scale per matrix.
};

// Rows are t * B + b. With scales per row a binary layer has one gamma per row of {W_x, W_h}
// together: s = W_x^b e + W_h^b h, gates = s * exp(gamma) + b. With scales per matrix: gates =
// alpha_x sign(W_x) e + alpha_h sign(W_h) h + b, with a binary bias alpha_b sign(b) in the place of
// b (its latent values have no limit). Norms: lstm_norm.h. With sign activations h enters its
// product as its sign; x is one already, or 0 where dropout has taken it out.
template <typename Backend>
class LstmLayer {
 public:
  using Real = typename Backend::Real;

  // `rows` >= streams * steps: padded row count of the activations; the padding stays zero.
  LstmLayer(const Backend& backend, std::string name, int64_t streams, int64_t steps, int64_t rows,
            int64_t inputs, int64_t hidden, const LstmKind& kind, Real alpha)
      : backend_(backend),
        per_matrix_(kind.binary && kind.scale == ScaleKind::kPerMatrix),
        streams_(streams),
        steps_(steps),
        rows_(rows),
        hidden_(hidden),
        weight_x_(backend, name + ".weight_x", inputs, 4 * hidden, kind.binary,
                  per_matrix_ ? Real(kLatentLimit) : alpha),
        weight_h_(backend, name + ".weight_h", hidden, 4 * hidden, kind.binary,
                  per_matrix_ ? Real(kLatentLimit) : alpha),
        bias_(MakeParameter<Real>(name + ".bias", 1, 4 * hidden)),
        x_left_(backend.MakeLeft(rows, inputs)),
        x_transposed_(backend.MakeLeft(inputs, rows)),
        h_left_(backend.MakeLeft(rows, hidden)),
        h_transposed_(backend.MakeLeft(hidden, rows)),
        gradient_left_(backend.MakeLeft(rows, 4 * hidden)),
        gradient_right_(backend.MakeRight(rows, 4 * hidden)),
        gates_(Size(rows, 4 * hidden)),
        h_in_(Size(rows, hidden)),
        c_in_(Size(rows, hidden)),
        c_(Size(rows, hidden)),
        tanh_c_(Size(rows, hidden)),
        carried_h_(Size(streams, hidden)),
        carried_c_(Size(streams, hidden)) {
    if (kind.binary && !per_matrix_) {
      gamma_ = MakeParameter<Real>(name + ".gamma", 1, 4 * hidden);
      exp_gamma_.resize(Size(1, 4 * hidden));
    }
    if (per_matrix_ && kind.binary_bias) bias_signs_.resize(Size(1, 4 * hidden));
    if (kind.norm != NormKind::kNone) norm_.emplace(kind.norm, name, streams, steps, rows, hidden);
    if (kind.activation == ActivationKind::kSign) h_sign_.emplace(rows, hidden);
  }

  Weight<Backend>& weight_x() { return weight_x_; }
  Weight<Backend>& weight_h() { return weight_h_; }
  Parameter<Real>& bias() { return bias_; }
  // What is added to the gates, [4H], as of the last Pack.
  const Real* effective_bias() const {
    return bias_signs_.empty() ? bias_.value.data() : bias_signs_.data();
  }
  Parameter<Real>& gamma() { return gamma_; }  // Of a binary layer with scales per row.
  bool binary() const { return weight_x_.parameter.binary(); }
  bool has_gamma() const { return !exp_gamma_.empty(); }
  LstmNorm<Real>* norm() { return norm_ ? &*norm_ : nullptr; }
  SignActivation<Real>* h_sign() { return h_sign_ ? &*h_sign_ : nullptr; }
  // Of products with the matrices' operands; alpha_x and alpha_h of [ZT], as of the last Pack.
  Real factor_x() const { return factor_x_; }
  Real factor_h() const { return factor_h_; }
  // In a fixed order.
  std::vector<Parameter<Real>*> Parameters() {
    std::vector<Parameter<Real>*> all{&weight_x_.parameter, &weight_h_.parameter, &bias_};
    if (has_gamma()) all.push_back(&gamma_);
    if (norm_) {
      for (Parameter<Real>* parameter : norm_->Parameters()) all.push_back(parameter);
    }
    return all;
  }
  int64_t inputs() const { return weight_x_.parameter.rows; }
  // h_{t-1} of the last Forward, after dropout, or its sign, [rows, H].
  const Real* h_before() const { return h_in_.data(); }

  // `dropped`: DropConnect of W_h in this step. `state_dropped`: dropout of the h_{t-1} that W_h
  // multiplies, with one mask for the segment, whose period is B; the h that leaves the layer and
  // the cell are whole (Gal and Ghahramani 2016, section 4; Melis et al. 2018, "state" dropout).
  void Pack(const DropoutMask& dropped = {}, const DropoutMask& state_dropped = {}) {
    state_dropped_ = state_dropped;
    if (weight_x_.parameter.fitted())
      FitColumns({&weight_x_.parameter, &weight_h_.parameter}, backend_.pool());
    weight_x_.Pack(backend_);
    weight_h_.Pack(backend_, dropped);
    for (size_t j = 0; j < exp_gamma_.size(); ++j) exp_gamma_[j] = std::exp(gamma_.value[j]);
    ThreadPool* pool = backend_.pool();
    factor_x_ = per_matrix_ ? MeanMagnitude(weight_x_.parameter, pool) : weight_x_.factor();
    factor_h_ = per_matrix_ ? MeanMagnitude(weight_h_.parameter, pool) : weight_h_.factor();
    if (!bias_signs_.empty()) {
      bias_factor_ = MeanMagnitude(bias_, pool);
      for (size_t j = 0; j < bias_signs_.size(); ++j)
        bias_signs_[j] = bias_.value[j] > 0 ? bias_factor_ : -bias_factor_;
    }
    if (norm_) norm_->Pack();
  }

  // Of the h_{t-1} that W_h multiplies, from now on.
  void set_state_grid(const ActivationGrid& grid) { state_grid_ = grid; }

  // x [rows, inputs]; resets [T * B]; h_out [rows, H]. `state` is read and becomes the state after
  // the segment. `training`: by the statistics of this batch.
  void Forward(const Real* x, std::span<const uint8_t> resets, bool training,
               LstmState<Real>* state, Real* h_out) {
    const int64_t gate_cols = 4 * hidden_;
    Real* x_products = norm_ ? norm_->x_products() : gates_.data();
    Real* h_products = norm_ ? norm_->h_products() : gates_.data();
    // Both products are added up before they are multiplied with factor_h.
    const Real ratio = norm_ ? Real(1) : factor_x_ / factor_h_;
    ForPieces(backend_.pool(), rows_, [&](int64_t first, int64_t count) {
      backend_.SetLeftRows(x + first * inputs(), count, inputs(), nullptr, first, &x_left_);
      backend_.Multiply(x_left_, first, count, weight_x_.forward, 0, gate_cols,
                        x_products + first * gate_cols, gate_cols, false);
      if (ratio == Real(1)) return;
      for (int64_t i = first * gate_cols; i < (first + count) * gate_cols; ++i)
        x_products[i] *= ratio;
    });
    if (norm_) norm_->ForwardX(factor_x_, scale(), training, backend_.pool());
    ForSlices([&](int64_t b0, int64_t count) {
      for (int64_t t = 0; t < steps_; ++t) {
        const int64_t row = t * streams_ + b0;
        for (int64_t b = 0; b < count; ++b) {
          const int64_t r = row + b;
          Real* h_in = h_in_.data() + r * hidden_;
          Real* c_in = c_in_.data() + r * hidden_;
          if (resets[static_cast<size_t>(r)]) {
            std::fill(h_in, h_in + hidden_, Real(0));
            std::fill(c_in, c_in + hidden_, Real(0));
            continue;
          }
          const Real* h =
              t == 0 ? state->h.data() + (b0 + b) * hidden_ : h_out + (r - streams_) * hidden_;
          const Real* c =
              t == 0 ? state->c.data() + (b0 + b) * hidden_ : c_.data() + (r - streams_) * hidden_;
          std::copy(h, h + hidden_, h_in);
          std::copy(c, c + hidden_, c_in);
        }
        if (h_sign_) h_sign_->Forward(row, count, h_in_.data() + row * hidden_);
        RoundActivationRows(state_grid_, h_in_.data() + row * hidden_, count, hidden_);
        ApplyDropoutToRows(state_dropped_, b0, h_in_.data() + row * hidden_, count, hidden_);
        backend_.SetLeftRows(h_in_.data() + row * hidden_, count, hidden_, nullptr, row, &h_left_);
        backend_.Multiply(h_left_, row, count, weight_h_.forward, 0, gate_cols,
                          h_products + row * gate_cols, gate_cols, !norm_);
        if (norm_) {
          norm_->ForwardGates(row, count, factor_h_, scale(), training,
                              gates_.data() + row * gate_cols);
        }
        for (int64_t r = row; r < row + count; ++r) {
          RunLstmCellForward(LstmCellForward<Real>{.hidden = hidden_,
                                                   .factor = norm_ ? Real(1) : factor_h_,
                                                   .scale = norm_ ? nullptr : scale(),
                                                   .bias = effective_bias(),
                                                   .gates = gates_.data() + r * gate_cols,
                                                   .c_previous = c_in_.data() + r * hidden_,
                                                   .c = c_.data() + r * hidden_,
                                                   .tanh_c = tanh_c_.data() + r * hidden_,
                                                   .h = h_out + r * hidden_});
        }
        if (norm_) {
          norm_->ForwardCell(row, count, gates_.data() + row * gate_cols, c_.data() + row * hidden_,
                             tanh_c_.data() + row * hidden_, h_out + row * hidden_);
        }
      }
      const int64_t last = (steps_ - 1) * streams_ + b0;
      std::copy_n(h_out + last * hidden_, count * hidden_, state->h.data() + b0 * hidden_);
      std::copy_n(c_.data() + last * hidden_, count * hidden_, state->c.data() + b0 * hidden_);
    });
    if (norm_ && training) norm_->EndPass();
  }

  // `x`, `resets` as in the last Forward, a training one; h_gradient [rows, H] is destroyed;
  // x_gradient [rows, inputs]. Sets the parameters' gradients. Gradients do not flow into the state
  // before the segment (truncated back-propagation).
  void Backward(const Real* x, std::span<const uint8_t> resets, Real* h_gradient,
                Real* x_gradient) {
    const int64_t gate_cols = 4 * hidden_;
    // Of the scaled products.
    const Real* x_products = norm_ ? norm_->x_gradient() : gates_.data();
    const Real* h_products = norm_ ? norm_->h_gradient() : gates_.data();
    ForSlices([&](int64_t b0, int64_t count) {
      Real* carried_h = carried_h_.data() + b0 * hidden_;
      Real* carried_c = carried_c_.data() + b0 * hidden_;
      for (int64_t t = steps_ - 1; t >= 0; --t) {
        const int64_t row = t * streams_ + b0;
        for (int64_t b = 0; b < count; ++b) {
          const int64_t r = row + b;
          Real* dh = h_gradient + r * hidden_;
          Real* dc = carried_c + b * hidden_;
          const bool cut = t + 1 == steps_ || resets[static_cast<size_t>(r + streams_)];
          if (cut) {
            std::fill(dc, dc + hidden_, Real(0));
          } else {
            const Real* from = carried_h + b * hidden_;
            for (int64_t j = 0; j < hidden_; ++j) dh[j] += factor_h_ * from[j];
          }
          const bool c_complete = norm_ && norm_->normalizes_cell();
          if (c_complete) {
            norm_->BackwardCell(r, gates_.data() + r * gate_cols, tanh_c_.data() + r * hidden_, dh,
                                dc);
          }
          RunLstmCellBackward(LstmCellBackward<Real>{.hidden = hidden_,
                                                     .gates = gates_.data() + r * gate_cols,
                                                     .c_previous = c_in_.data() + r * hidden_,
                                                     .tanh_c = tanh_c_.data() + r * hidden_,
                                                     .h_gradient = dh,
                                                     .c_gradient = dc,
                                                     .c_complete = c_complete});
        }
        if (norm_) norm_->BackwardGates(row, count, gates_.data() + row * gate_cols);
        backend_.SetLeftRows(h_products + row * gate_cols, count, gate_cols, scale(), row,
                             &gradient_left_);
        if (t > 0) {
          backend_.Multiply(gradient_left_, row, count, weight_h_.backward, 0, hidden_, carried_h,
                            hidden_, false);
          ApplyDropoutToRows(state_dropped_, b0, carried_h, count, hidden_);
          if (h_sign_) h_sign_->Backward(row, count, carried_h);
        }
      }
    });
    if (norm_) norm_->BackwardX(gates_.data(), backend_.pool());
    ForPieces(backend_.pool(), rows_, [&](int64_t first, int64_t count) {
      if (norm_) {
        backend_.SetLeftRows(x_products + first * gate_cols, count, gate_cols, scale(), first,
                             &gradient_left_);
      }
      backend_.Multiply(gradient_left_, first, count, weight_x_.backward, 0, inputs(),
                        x_gradient + first * inputs(), inputs(), false);
      if (!binary()) return;
      for (int64_t i = first * inputs(); i < (first + count) * inputs(); ++i)
        x_gradient[i] *= factor_x_;
    });
    backend_.SetRight(x_products, gate_cols, Encode::kValue, scale(), &gradient_right_);
    backend_.SetLeftTransposed(x, rows_, inputs(), &x_transposed_);
    backend_.MultiplyAll(x_transposed_, gradient_right_, weight_x_.parameter.gradient.data(),
                         gate_cols, false);
    if (norm_) backend_.SetRight(h_products, gate_cols, Encode::kValue, scale(), &gradient_right_);
    backend_.SetLeftTransposed(h_in_.data(), rows_, hidden_, &h_transposed_);
    backend_.MultiplyAll(h_transposed_, gradient_right_, weight_h_.parameter.gradient.data(),
                         gate_cols, false);
    weight_h_.DropGradient(backend_);
    std::fill(bias_.gradient.begin(), bias_.gradient.end(), Real(0));
    AddColumnSums(gates_.data(), streams_ * steps_, gate_cols, bias_.gradient.data(),
                  backend_.pool());
    if (per_matrix_) {
      BackThroughScale(factor_x_, backend_.pool(), &weight_x_.parameter);
      BackThroughScale(factor_h_, backend_.pool(), &weight_h_.parameter);
    }
    if (!bias_signs_.empty()) BackThroughScale(bias_factor_, backend_.pool(), &bias_);
    if (has_gamma()) {
      std::fill(gamma_.gradient.begin(), gamma_.gradient.end(), Real(0));
      AddGammaGradient(weight_x_.parameter, gamma_.gradient.data());
      AddGammaGradient(weight_h_.parameter, gamma_.gradient.data());
    }
  }

 private:
  static size_t Size(int64_t rows, int64_t cols) { return static_cast<size_t>(rows * cols); }
  const Real* scale() const { return has_gamma() ? exp_gamma_.data() : nullptr; }

  // Streams are independent, but for norms across them: each thread takes some of them through all
  // time steps.
  template <typename Body>
  void ForSlices(const Body& body) {
    constexpr int64_t kLeastStreams = 16;
    const int64_t slices =
        norm_ && norm_->across_streams()
            ? 1
            : std::clamp<int64_t>(streams_ / kLeastStreams, 1, backend_.pool()->threads());
    const int64_t width = (streams_ + slices - 1) / slices;
    backend_.pool()->ParallelFor(static_cast<size_t>(slices), [&](size_t slice) {
      const int64_t first = static_cast<int64_t>(slice) * width;
      if (first < streams_) body(first, std::min(width, streams_ - first));
    });
  }

  const Backend& backend_;
  bool per_matrix_;
  int64_t streams_, steps_, rows_, hidden_;
  Weight<Backend> weight_x_, weight_h_;
  Real factor_x_ = 1, factor_h_ = 1, bias_factor_ = 1;
  std::optional<LstmNorm<Real>> norm_;
  std::optional<SignActivation<Real>> h_sign_;  // Of sign activations.
  Parameter<Real> bias_, gamma_;
  DropoutMask state_dropped_;
  ActivationGrid state_grid_;
  std::vector<Real> exp_gamma_, bias_signs_;
  typename Backend::Left x_left_, x_transposed_, h_left_, h_transposed_, gradient_left_;
  typename Backend::Right gradient_right_;
  AlignedBuffer<Real> gates_;  // Products, then activations, then gradients of pre-activations.
  AlignedBuffer<Real> h_in_, c_in_, c_, tanh_c_;
  // [B, H]: dC/dh and dC/dc of a step with respect to its inputs, on the way back.
  AlignedBuffer<Real> carried_h_, carried_c_;
};

}  // namespace bitlm::trainer
