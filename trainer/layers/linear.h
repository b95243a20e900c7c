// The linear layers on either side of the LSTM ([LCY18] equation 9), float or binarized ([LCY18]
// Algorithms 1 and 2; with one scale, [ZT] section 3.1).
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "engine/model/model_config.h"
#include "trainer/layers/matrix_scale.h"
#include "trainer/layers/parameter.h"

namespace bitlm::trainer {

// y = (x W^b) * exp(gamma) + b, or with a scale per matrix y = alpha (x sign(W)) + b; a float layer
// has neither. `rows` is fixed for the layer's life.
template <typename Backend>
class LinearLayer {
 public:
  using Real = typename Backend::Real;

  LinearLayer(const Backend& backend, std::string name, int64_t rows, int64_t inputs,
              int64_t outputs, bool binary, Real alpha, ScaleKind scale = ScaleKind::kPerRow)
      : backend_(backend),
        per_matrix_(binary && scale == ScaleKind::kPerMatrix),
        rows_(rows),
        weight_(backend, name + ".weight", inputs, outputs, binary,
                per_matrix_ ? Real(kLatentLimit) : alpha),
        bias_(MakeParameter<Real>(name + ".bias", 1, outputs)),
        x_left_(backend.MakeLeft(rows, inputs)),
        x_transposed_(backend.MakeLeft(inputs, rows)),
        gradient_left_(backend.MakeLeft(rows, outputs)),
        gradient_right_(backend.MakeRight(rows, outputs)) {
    if (binary && !per_matrix_) {
      gamma_ = MakeParameter<Real>(name + ".gamma", 1, outputs);
      exp_gamma_.resize(static_cast<size_t>(outputs));
    }
  }

  Weight<Backend>& weight() { return weight_; }
  Parameter<Real>& bias() { return bias_; }
  Parameter<Real>& gamma() { return gamma_; }  // Of a binary layer with scales per row.
  bool binary() const { return weight_.parameter.binary(); }
  bool has_gamma() const { return !exp_gamma_.empty(); }
  // Of products with the matrix's operands; alpha of [ZT], as of the last Pack.
  Real factor() const { return factor_; }

  // Multiplies every output with `scale` > 0. Before Pack.
  void Scale(Real scale) {
    for (Real& b : bias_.value.span()) b *= scale;
    if (has_gamma()) {
      for (Real& g : gamma_.value.span()) g += std::log(scale);
    } else {
      for (Real& w : weight_.parameter.value.span()) w *= scale;
    }
  }

  void Pack() {
    if (weight_.parameter.fitted()) FitColumns({&weight_.parameter}, backend_.pool());
    weight_.Pack(backend_);
    for (size_t j = 0; j < exp_gamma_.size(); ++j) exp_gamma_[j] = std::exp(gamma_.value[j]);
    factor_ = per_matrix_ ? MeanMagnitude(weight_.parameter, backend_.pool()) : weight_.factor();
  }

  // x [rows, inputs], y [rows, outputs].
  void Forward(const Real* x, Real* y) {
    const int64_t outputs = weight_.parameter.cols;
    ForPieces(backend_.pool(), rows_, [&](int64_t first, int64_t count) {
      backend_.SetLeftRows(x + first * x_left_.cols, count, x_left_.cols, nullptr, first, &x_left_);
      backend_.Multiply(x_left_, first, count, weight_.forward, 0, outputs, y + first * outputs,
                        outputs, false);
      for (int64_t r = first; r < first + count; ++r) {
        Real* row = y + r * outputs;
        for (int64_t j = 0; j < outputs; ++j) {
          const Real s = factor_ * row[j];
          row[j] = (has_gamma() ? s * exp_gamma_[static_cast<size_t>(j)] : s) +
                   bias_.value[static_cast<size_t>(j)];
        }
      }
    });
  }

  // `x` as in Forward; y_gradient [rows, outputs]; x_gradient [rows, inputs]. Sets the parameters'
  // gradients.
  void Backward(const Real* x, const Real* y_gradient, Real* x_gradient) {
    const int64_t inputs = weight_.parameter.rows;
    const int64_t outputs = weight_.parameter.cols;
    // dC/ds = dC/dy * exp(gamma) (Algorithm 2, line 3).
    const Real* scale = has_gamma() ? exp_gamma_.data() : nullptr;
    ForPieces(backend_.pool(), rows_, [&](int64_t first, int64_t count) {
      backend_.SetLeftRows(y_gradient + first * outputs, count, outputs, scale, first,
                           &gradient_left_);
      backend_.Multiply(gradient_left_, first, count, weight_.backward, 0, inputs,
                        x_gradient + first * inputs, inputs, false);
      if (!binary()) return;
      for (int64_t i = first * inputs; i < (first + count) * inputs; ++i) x_gradient[i] *= factor_;
    });
    backend_.SetLeftTransposed(x, rows_, inputs, &x_transposed_);
    backend_.SetRight(y_gradient, outputs, Encode::kValue, scale, &gradient_right_);
    backend_.MultiplyAll(x_transposed_, gradient_right_, weight_.parameter.gradient.data(), outputs,
                         false);
    std::fill(bias_.gradient.begin(), bias_.gradient.end(), Real(0));
    AddColumnSums(y_gradient, rows_, outputs, bias_.gradient.data(), backend_.pool());
    if (per_matrix_) BackThroughScale(factor_, backend_.pool(), &weight_.parameter);
    if (has_gamma()) {
      std::fill(gamma_.gradient.begin(), gamma_.gradient.end(), Real(0));
      AddGammaGradient(weight_.parameter, gamma_.gradient.data());
    }
  }

 private:
  const Backend& backend_;
  bool per_matrix_;
  int64_t rows_;
  Weight<Backend> weight_;
  Real factor_ = 1;
  Parameter<Real> bias_;
  Parameter<Real> gamma_;
  std::vector<Real> exp_gamma_;
  typename Backend::Left x_left_, x_transposed_, gradient_left_;
  typename Backend::Right gradient_right_;
};

}  // namespace bitlm::trainer
