// Parameter: a trained array with its gradient, and Weight: a matrix parameter with its operands
// for products.
#pragma once

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <vector>

#include "engine/base/aligned_buffer.h"
#include "engine/base/thread_pool.h"
#include "trainer/layers/dropout.h"
#include "trainer/layers/planes.h"
#include "trainer/tensor/elementwise.h"

namespace bitlm::trainer {

template <typename Real>
struct Parameter {
  std::string name;
  int64_t rows = 0, cols = 0;  // A vector is [1, n].
  AlignedBuffer<Real>
      value;  // [rows, cols]. Of a binary matrix: the latent values W of [LCY18] Algorithm 1.
  AlignedBuffer<Real> gradient;  // The same shape. Of a binary matrix: dC/dW^b, which the
                                 // straight-through estimator hands to W.
  // alpha of [LCY18]: a binary matrix has the values -alpha and +alpha, and its latent values are
  // kept inside [-alpha, alpha]. 0 for a float parameter.
  Real alpha = 0;
  // Binary with fitted scales (planes.h): how many planes; 0 = not. The latent values are in the
  // unit of the effective ones, the straight-through estimator's gradient is theirs, and levels are
  // of the last fit: one for each column, or one for a table. alpha is 0.
  int planes = 0;
  Real hardness = 1;  // Of the next fit's values, see planes.h.
  std::vector<PlaneLevels<Real>> levels;
  AlignedBuffer<Real> effective;  // Of the last fit. A table's are taken from its levels.
  // Only the rows in touched_rows (distinct) have a gradient: the input embedding.
  bool sparse = false;
  std::vector<int32_t> touched_rows;

  bool binary() const { return alpha > 0; }
  bool fitted() const { return planes > 0; }
  // Of signs in either way, which is what the engine computes with.
  bool binarized() const { return binary() || fitted(); }
  int64_t size() const { return rows * cols; }
};

template <typename Real>
Parameter<Real> MakeParameter(std::string name, int64_t rows, int64_t cols, Real alpha = 0) {
  Parameter<Real> parameter;
  parameter.name = std::move(name);
  parameter.rows = rows;
  parameter.cols = cols;
  parameter.value = AlignedBuffer<Real>(static_cast<size_t>(rows * cols));
  parameter.gradient = AlignedBuffer<Real>(static_cast<size_t>(rows * cols));
  parameter.alpha = alpha;
  return parameter;
}

// Makes a float parameter a binary one with fitted scales: `groups` of them.
template <typename Real>
void SetFitted(int planes, int64_t groups, Parameter<Real>* parameter) {
  parameter->planes = planes;
  parameter->levels.resize(static_cast<size_t>(groups));
  parameter->effective = AlignedBuffer<Real>(parameter->value.size());
}

// Fits the columns of one or two matrices over each other, which share scales. They are fitted().
template <typename Real>
void FitColumns(std::initializer_list<Parameter<Real>*> stacked, ThreadPool* pool) {
  std::array<PlaneMatrix<Real>, 2> matrices;
  assert(stacked.size() <= matrices.size());
  size_t count = 0;
  for (Parameter<Real>* p : stacked)
    matrices[count++] = {p->value.data(), p->rows, p->effective.data()};
  Parameter<Real>& first = **stacked.begin();
  FitColumns<Real>(first.planes, std::span(matrices).first(count), first.cols, first.hardness, pool,
                   first.levels.data());
  for (Parameter<Real>* p : stacked) p->levels = first.levels;
}

// Fits a table as a whole. It is fitted().
template <typename Real>
void FitTable(Parameter<Real>* table) {
  table->levels[0] = FitTable(table->planes, table->value.data(), table->rows, table->cols);
  table->levels[0].hardness = table->hardness;
}

// A matrix that multiplies activations from the right: y = x W, stored as W [inputs, outputs], the
// transpose of the papers' notation. Binary matrices enter products as exact signs; factor() has to
// be applied to the product. Those with fitted scales enter as their effective values.
template <typename Backend>
struct Weight {
  using Real = typename Backend::Real;

  Parameter<Real> parameter;
  typename Backend::Right forward;   // [inputs, outputs]
  typename Backend::Right backward;  // [outputs, inputs]

  Weight(const Backend& backend, std::string name, int64_t inputs, int64_t outputs, bool binary,
         Real alpha)
      : parameter(MakeParameter<Real>(std::move(name), inputs, outputs, binary ? alpha : Real(0))),
        forward(backend.MakeRight(inputs, outputs)),
        backward(backend.MakeRight(outputs, inputs)) {}

  // What a product with the operands is multiplied with to be a product with the matrix.
  Real factor() const { return parameter.binary() ? parameter.alpha : Real(1); }

  // Makes the operands from the current values, or the last fit: once per step, before the forward
  // pass. `dropped` is DropConnect (Wan et al. 2013; on recurrent matrices Merity et al. 2018,
  // section 2): weights of the mask are 0 for this step, a binary matrix's, too. Its rows are those
  // of `parameter`; DropGradient() completes the gradient.
  void Pack(const Backend& backend, const DropoutMask& dropped = {}) {
    mask_ = dropped;
    const Real* from = parameter.fitted() ? parameter.effective.data() : parameter.value.data();
    Encode encode = parameter.binary() ? Encode::kSign : Encode::kValue;
    if (dropped.rate > 0) {
      if (kept_.size() == 0) kept_ = AlignedBuffer<Real>(parameter.value.size());
      for (size_t i = 0; i < kept_.size(); ++i) {
        kept_[i] = !parameter.binary() ? from[i] : from[i] > 0 ? Real(1) : Real(-1);
      }
      ApplyDropout(dropped, kept_.data(), parameter.rows, parameter.cols, backend.pool());
      from = kept_.data();
      encode = Encode::kValue;
    }
    backend.SetRight(from, parameter.cols, encode, nullptr, &forward);
    backend.SetRightTransposed(from, parameter.cols, encode, &backward);
  }

  // The gradient of the weights from that of the operands of the last Pack.
  void DropGradient(const Backend& backend) {
    ApplyDropout(mask_, parameter.gradient.data(), parameter.rows, parameter.cols, backend.pool());
  }

 private:
  DropoutMask mask_;
  AlignedBuffer<Real> kept_;  // The values, or signs, after DropConnect.
};

// dC/dgamma of [LCY18] Algorithm 2, line 2: dC/dy * s * exp(gamma), summed over the batch. With `g`
// = dC/dW^b = x^T (dC/dy * exp(gamma)) it is, for output j, the sum over i of g[i, j] * W^b[i, j]:
// no product is kept for it.
template <typename Real>
void AddGammaGradient(const Parameter<Real>& weight, Real* gamma_gradient) {
  for (int64_t i = 0; i < weight.rows; ++i) {
    const Real* w = weight.value.data() + i * weight.cols;
    const Real* g = weight.gradient.data() + i * weight.cols;
    for (int64_t j = 0; j < weight.cols; ++j)
      gamma_gradient[j] += w[j] > 0 ? g[j] * weight.alpha : -g[j] * weight.alpha;
  }
}

// Calls body(first, count) for pieces of [0, rows), over the pool. A product's result of 64 rows
// stays in the second-level cache.
template <typename Body>
void ForPieces(ThreadPool* pool, int64_t rows, const Body& body) {
  constexpr int64_t kPiece = 64;
  pool->ParallelFor(static_cast<size_t>((rows + kPiece - 1) / kPiece), [&](size_t piece) {
    const int64_t first = static_cast<int64_t>(piece) * kPiece;
    body(first, std::min(kPiece, rows - first));
  });
}

// sum[c] += sum over rows of x[r, c], rows ascending.
template <typename Real>
void AddColumnSums(const Real* x, int64_t rows, int64_t cols, Real* sum, ThreadPool* pool) {
  constexpr int64_t kPiece = 256;
  pool->ParallelFor(static_cast<size_t>((cols + kPiece - 1) / kPiece), [&](size_t piece) {
    const int64_t first = static_cast<int64_t>(piece) * kPiece;
    const int64_t end = std::min(cols, first + kPiece);
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = first; c < end; ++c) sum[c] += x[r * cols + c];
    }
  });
}

}  // namespace bitlm::trainer
