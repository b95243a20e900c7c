#include "trainer/layers/lstm_norm.h"

#include "trainer/tensor/math.h"

namespace bitlm::trainer {
namespace {

template <typename Real>
BITLM_ALWAYS_INLINE void Scale(Real* x, int64_t n, Real factor, const Real* scale) {
  if (scale == nullptr) {
    for (int64_t j = 0; j < n; ++j) x[j] *= factor;
  } else {
    for (int64_t j = 0; j < n; ++j) x[j] *= factor * scale[j];
  }
}
BITLM_CLONES void ScaleRow(float* x, int64_t n, float factor, const float* scale) {
  Scale(x, n, factor, scale);
}
void ScaleRow(double* x, int64_t n, double factor, const double* scale) {
  Scale(x, n, factor, scale);
}

// out = a * x + b * y.
template <typename Real>
BITLM_ALWAYS_INLINE void Combine(const Real* a, const Real* x, const Real* b, const Real* y,
                                 int64_t n, Real* __restrict out) {
  for (int64_t j = 0; j < n; ++j) out[j] = a[j] * x[j] + b[j] * y[j];
}
BITLM_CLONES void CombineRow(const float* a, const float* x, const float* b, const float* y,
                             int64_t n, float* out) {
  Combine(a, x, b, y, n, out);
}
void CombineRow(const double* a, const double* x, const double* b, const double* y, int64_t n,
                double* out) {
  Combine(a, x, b, y, n, out);
}

// tanh_c = tanh(gain * normalized + shift), h = o * tanh_c.
template <typename Real>
BITLM_ALWAYS_INLINE void Cell(const Real* gain, const Real* normalized, const Real* shift,
                              const Real* o, int64_t n, Real* __restrict tanh_c,
                              Real* __restrict h) {
  for (int64_t j = 0; j < n; ++j) {
    const Real t = Tanh(gain[j] * normalized[j] + shift[j]);
    tanh_c[j] = t;
    h[j] = o[j] * t;
  }
}
BITLM_CLONES void CellRow(const float* gain, const float* normalized, const float* shift,
                          const float* o, int64_t n, float* tanh_c, float* h) {
  Cell(gain, normalized, shift, o, n, tanh_c, h);
}
void CellRow(const double* gain, const double* normalized, const double* shift, const double* o,
             int64_t n, double* tanh_c, double* h) {
  Cell(gain, normalized, shift, o, n, tanh_c, h);
}

size_t Pieces(int64_t n, int64_t piece) { return static_cast<size_t>((n + piece - 1) / piece); }

// out = x * y.
template <typename Real>
void Product(const Real* x, const Real* y, int64_t n, Real* out) {
  for (int64_t j = 0; j < n; ++j) out[j] = x[j] * y[j];
}

}  // namespace

template <typename Real>
LstmNorm<Real>::LstmNorm(NormKind kind, const std::string& name, int64_t streams, int64_t steps,
                         int64_t rows, int64_t hidden)
    : kind_(kind),
      streams_(streams),
      used_rows_(streams * steps),
      cols_(4 * hidden),
      hidden_(hidden),
      gain_x_(MakeParameter<Real>(name + ".gain_x", 1, cols_)),
      gain_h_(MakeParameter<Real>(name + ".gain_h", 1, cols_)),
      x_(Size(rows, cols_)),
      h_(Size(rows, cols_)),
      h_gradient_(Size(rows, cols_)) {
  if (kind == NormKind::kBatch) {
    batch_x_ = std::make_unique<BatchNorm<Real>>(1, cols_);
    batch_h_ = std::make_unique<BatchNorm<Real>>(steps, cols_);
    return;
  }
  gain_c_ = MakeParameter<Real>(name + ".gain_c", 1, hidden);
  shift_c_ = MakeParameter<Real>(name + ".shift_c", 1, hidden);
  c_ = AlignedBuffer<Real>(Size(rows, hidden));
  c_gradient_ = AlignedBuffer<Real>(Size(rows, hidden));
  through_c_ = AlignedBuffer<Real>(Size(rows, hidden));
  for (auto* inverse : {&inverse_x_, &inverse_h_, &inverse_c_}) inverse->resize(Size(rows, 1));
}

template <typename Real>
std::vector<Parameter<Real>*> LstmNorm<Real>::Parameters() {
  std::vector<Parameter<Real>*> all{&gain_x_, &gain_h_};
  if (kind_ == NormKind::kLayer) all.insert(all.end(), {&gain_c_, &shift_c_});
  return all;
}

template <typename Real>
void LstmNorm<Real>::ForwardX(Real factor, const Real* scale, bool training, ThreadPool* pool) {
  pool->ParallelFor(Pieces(used_rows_, kPieceRows), [&](size_t piece) {
    const int64_t first = static_cast<int64_t>(piece) * kPieceRows;
    const int64_t last = std::min(used_rows_, first + kPieceRows);
    for (int64_t r = first; r < last; ++r) {
      Real* x = x_.data() + r * cols_;
      ScaleRow(x, cols_, factor, scale);
      if (!batch_x_) inverse_x_[static_cast<size_t>(r)] = NormalizeRow(x, cols_);
    }
    if (batch_x_ && !training) batch_x_->Evaluate(last - first, x_.data() + first * cols_);
  });
  if (!batch_x_ || !training) return;
  pool->ParallelFor(Pieces(cols_, kPieceColumns), [&](size_t piece) {
    const int64_t first = static_cast<int64_t>(piece) * kPieceColumns;
    batch_x_->Forward(0, used_rows_, first, std::min(kPieceColumns, cols_ - first), cols_,
                      x_.data());
  });
}

template <typename Real>
void LstmNorm<Real>::ForwardGates(int64_t row, int64_t count, Real factor, const Real* scale,
                                  bool training, Real* gates) {
  Real* h = h_.data() + row * cols_;
  for (int64_t i = 0; i < count; ++i) {
    ScaleRow(h + i * cols_, cols_, factor, scale);
    if (!batch_h_) {
      inverse_h_[static_cast<size_t>(row + i)] = NormalizeRow(h + i * cols_, cols_);
    }
  }
  if (batch_h_ && training) {
    batch_h_->Forward(row / streams_, count, 0, cols_, cols_, h);
  } else if (batch_h_) {
    batch_h_->Evaluate(count, h);
  }
  for (int64_t i = 0; i < count; ++i) {
    CombineRow(gain_x_.value.data(), x_.data() + (row + i) * cols_, gain_h_.value.data(),
               h + i * cols_, cols_, gates + i * cols_);
  }
}

template <typename Real>
void LstmNorm<Real>::ForwardCell(int64_t row, int64_t count, const Real* gates, const Real* c,
                                 Real* tanh_c, Real* h) {
  if (!normalizes_cell()) return;
  for (int64_t i = 0; i < count; ++i) {
    Real* normalized = c_.data() + (row + i) * hidden_;
    std::copy_n(c + i * hidden_, hidden_, normalized);
    inverse_c_[static_cast<size_t>(row + i)] = NormalizeRow(normalized, hidden_);
    CellRow(gain_c_.value.data(), normalized, shift_c_.value.data(),
            gates + i * cols_ + 3 * hidden_, hidden_, tanh_c + i * hidden_, h + i * hidden_);
  }
}

template <typename Real>
void LstmNorm<Real>::BackwardCell(int64_t row, const Real* gates, const Real* tanh_c,
                                  const Real* h_gradient, Real* c_gradient) {
  if (!normalizes_cell()) return;
  Real* scaled = c_gradient_.data() + row * hidden_;  // dC/d(gain_c N(c) + shift_c).
  const Real* o = gates + 3 * hidden_;
  Real* through = through_c_.data() + row * hidden_;
  for (int64_t j = 0; j < hidden_; ++j) {
    scaled[j] = h_gradient[j] * o[j] * (Real(1) - tanh_c[j] * tanh_c[j]);
  }
  Product(scaled, gain_c_.value.data(), hidden_, through);
  NormalizeRowBackward(c_.data() + row * hidden_, inverse_c_[static_cast<size_t>(row)], hidden_,
                       through);
  for (int64_t j = 0; j < hidden_; ++j) c_gradient[j] += through[j];
}

template <typename Real>
void LstmNorm<Real>::BackwardGates(int64_t row, int64_t count, const Real* gates) {
  Real* gradient = h_gradient_.data() + row * cols_;
  const Real* normalized = h_.data() + row * cols_;
  for (int64_t i = 0; i < count; ++i) {
    Product(gates + i * cols_, gain_h_.value.data(), cols_, gradient + i * cols_);
    if (batch_h_) continue;
    NormalizeRowBackward(normalized + i * cols_, inverse_h_[static_cast<size_t>(row + i)], cols_,
                         gradient + i * cols_);
  }
  if (batch_h_) batch_h_->Backward(row / streams_, count, 0, cols_, cols_, normalized, gradient);
}

// dC/dgain = the sum over rows of dC/d(gain * normalized) * normalized.
template <typename Real>
void LstmNorm<Real>::SetGradient(const Real* gradient, const Real* normalized,
                                 Parameter<Real>* gain) const {
  Real* sum = gain->gradient.data();
  std::fill(gain->gradient.begin(), gain->gradient.end(), Real(0));
  for (int64_t r = 0; r < used_rows_; ++r) {
    const Real* g = gradient + r * gain->cols;
    const Real* n = normalized + r * gain->cols;
    for (int64_t j = 0; j < gain->cols; ++j) sum[j] += g[j] * n[j];
  }
}

template <typename Real>
void LstmNorm<Real>::BackwardX(const Real* gates, ThreadPool* pool) {
  SetGradient(gates, x_.data(), &gain_x_);
  SetGradient(gates, h_.data(), &gain_h_);
  if (normalizes_cell()) {
    SetGradient(c_gradient_.data(), c_.data(), &gain_c_);
    std::fill(shift_c_.gradient.begin(), shift_c_.gradient.end(), Real(0));
    AddColumnSums(c_gradient_.data(), used_rows_, hidden_, shift_c_.gradient.data(), pool);
  }
  // Normalized W_h h has served: its place takes the gradient of W_x x.
  pool->ParallelFor(Pieces(used_rows_, kPieceRows), [&](size_t piece) {
    const int64_t first = static_cast<int64_t>(piece) * kPieceRows;
    for (int64_t r = first; r < std::min(used_rows_, first + kPieceRows); ++r) {
      Real* gradient = h_.data() + r * cols_;
      Product(gates + r * cols_, gain_x_.value.data(), cols_, gradient);
      if (batch_x_) continue;
      NormalizeRowBackward(x_.data() + r * cols_, inverse_x_[static_cast<size_t>(r)], cols_,
                           gradient);
    }
  });
  if (!batch_x_) return;
  pool->ParallelFor(Pieces(cols_, kPieceColumns), [&](size_t piece) {
    const int64_t first = static_cast<int64_t>(piece) * kPieceColumns;
    batch_x_->Backward(0, used_rows_, first, std::min(kPieceColumns, cols_ - first), cols_,
                       x_.data(), h_.data());
  });
}

template class LstmNorm<float>;
template class LstmNorm<double>;

}  // namespace bitlm::trainer
