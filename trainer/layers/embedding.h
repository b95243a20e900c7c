// The input embedding: e_t = W_e x_t ([LCY18] equations 2 and 9), a table of its own or the output
// layer's (Press and Wolf 2017; Inan et al. 2017).
#pragma once

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>
#include <vector>

#include "engine/base/thread_pool.h"
#include "trainer/layers/parameter.h"
#include "trainer/tensor/ordered_sum.h"

namespace bitlm::trainer {

template <typename Real>
class EmbeddingLayer {
 public:
  // table [V, E], sparse. `scaled`: a binary table has one gamma, and the values +-alpha
  // exp(gamma).
  EmbeddingLayer(int64_t vocabulary, int64_t size, bool binary, Real alpha, bool scaled)
      : table_(MakeParameter<Real>("embedding", vocabulary, size, binary ? alpha : Real(0))),
        touched_(static_cast<size_t>(vocabulary)) {
    table_.sparse = true;
    if (binary && scaled) gamma_ = MakeParameter<Real>("embedding.gamma", 1, 1);
  }

  // Tied to the output layer's table [E, V], which has to outlive this layer. gamma is the input's
  // alone.
  EmbeddingLayer(Parameter<Real>* output_table, bool scaled) : tied_(output_table) {
    if (output_table->binary() && scaled) gamma_ = MakeParameter<Real>("embedding.gamma", 1, 1);
  }

  bool tied() const { return tied_ != nullptr; }
  Parameter<Real>& table() { return tied() ? *tied_ : table_; }
  Parameter<Real>* gamma() { return gamma_.rows > 0 ? &gamma_ : nullptr; }  // [1, 1] or null.
  // The magnitude of a binary table's values.
  Real Scale() const {
    const Real alpha = tied() ? tied_->alpha : table_.alpha;
    return gamma_.rows > 0 ? alpha * std::exp(gamma_.value[0]) : alpha;
  }

  // out [tokens.size(), E]. A table with fitted scales has been fitted.
  void Forward(std::span<const int32_t> tokens, Real* out, ThreadPool* pool) const {
    if (tied()) return ForwardTied(tokens, out, pool);
    const Real scale = Scale();
    constexpr size_t kPiece = 128;
    const auto size = static_cast<size_t>(table_.cols);
    pool->ParallelFor((tokens.size() + kPiece - 1) / kPiece, [&](size_t piece) {
      for (size_t i = piece * kPiece; i < std::min(tokens.size(), (piece + 1) * kPiece); ++i) {
        const Real* row = table_.value.data() + static_cast<size_t>(tokens[i]) * size;
        Real* to = out + i * size;
        if (table_.fitted()) {
          for (size_t c = 0; c < size; ++c) to[c] = table_.levels[0].Value(row[c]);
        } else if (table_.binary()) {
          for (size_t c = 0; c < size; ++c) to[c] = row[c] > 0 ? scale : -scale;
        } else {
          std::copy(row, row + size, to);
        }
      }
    });
  }

  // Adds the gradient `out_gradient` [tokens.size(), E] into the table's, and records the touched
  // rows of a table of its own. After the output layer's backward pass, which sets a tied table's.
  void Backward(std::span<const int32_t> tokens, const Real* out_gradient, ThreadPool* pool) {
    if (tied()) return BackwardTied(tokens, out_gradient, pool);
    const int64_t size = table_.cols;
    constexpr int64_t kPiece =
        64;  // Threads own columns: no two write one value, and the order of additions is fixed.
    const auto pieces = static_cast<size_t>((size + kPiece - 1) / kPiece);
    const Real factor = gamma() != nullptr ? std::exp(gamma_.value[0]) : Real(1);
    // Of gradient * sign, for gamma.
    const double sum_of_signed = OrderedSum(pieces, pool, [&](size_t piece) {
      const int64_t first = static_cast<int64_t>(piece) * kPiece;
      const int64_t last = std::min(size, first + kPiece);
      double sum_of_piece = 0;
      for (size_t i = 0; i < tokens.size(); ++i) {
        Real* to = table_.gradient.data() + tokens[i] * size;
        const Real* value = table_.value.data() + tokens[i] * size;
        const Real* from = out_gradient + static_cast<int64_t>(i) * size;
        for (int64_t c = first; c < last; ++c) to[c] += factor * from[c];
        if (gamma() == nullptr) continue;
        Real sum = 0;
        for (int64_t c = first; c < last; ++c) sum += value[c] > 0 ? from[c] : -from[c];
        sum_of_piece += static_cast<double>(sum);
      }
      return sum_of_piece;
    });
    SetGammaGradient(sum_of_signed);
    for (const int32_t token : tokens) {
      if (touched_[static_cast<size_t>(token)]) continue;
      touched_[static_cast<size_t>(token)] = 1;
      table_.touched_rows.push_back(token);
    }
  }

  // Clears gradient and record, after an optimizer's step.
  void ClearGradient() {
    for (const int32_t row : table_.touched_rows) {
      touched_[static_cast<size_t>(row)] = 0;
      Real* gradient = table_.gradient.data() + row * table_.cols;
      std::fill(gradient, gradient + table_.cols, Real(0));
    }
    table_.touched_rows.clear();
  }

 private:
  // dC/dgamma = dC/de * e, summed: `sum` is that of dC/de * sign.
  void SetGammaGradient(double sum) {
    if (gamma() != nullptr) gamma_.gradient[0] = Scale() * static_cast<Real>(sum);
  }

  // Pieces of rows of the table: a row of V values has one writer, and the 16 values that a piece
  // has of a token are one cache line of the layer's output.
  template <typename Body>
  void ForTiedRows(ThreadPool* pool, const Body& body) const {
    constexpr int64_t kPiece = 16;
    const int64_t size = tied_->rows;
    pool->ParallelFor(static_cast<size_t>((size + kPiece - 1) / kPiece), [&](size_t piece) {
      const int64_t first = static_cast<int64_t>(piece) * kPiece;
      body(first, std::min(size, first + kPiece));
    });
  }

  void ForwardTied(std::span<const int32_t> tokens, Real* out, ThreadPool* pool) const {
    const auto size = static_cast<size_t>(tied_->rows);
    const Real scale = Scale();
    ForTiedRows(pool, [&](int64_t first, int64_t last) {
      for (size_t i = 0; i < tokens.size(); ++i) {
        const Real* column = tied_->value.data() + tokens[i];
        Real* to = out + i * size;
        for (int64_t c = first; c < last; ++c) {
          const Real w = column[c * tied_->cols];
          to[c] = tied_->fitted()    ? tied_->levels[0].Value(w)
                  : !tied_->binary() ? w
                  : w > 0            ? scale
                                     : -scale;
        }
      }
    });
  }

  void BackwardTied(std::span<const int32_t> tokens, const Real* out_gradient, ThreadPool* pool) {
    const auto size = static_cast<size_t>(tied_->rows);
    const std::span<double> sums = SumTerms(size);  // Of a row.
    std::fill(sums.begin(), sums.end(), 0.0);
    const Real factor = gamma() != nullptr ? std::exp(gamma_.value[0]) : Real(1);
    ForTiedRows(pool, [&](int64_t first, int64_t last) {
      for (size_t i = 0; i < tokens.size(); ++i) {
        const Real* from = out_gradient + i * size;
        Real* column = tied_->gradient.data() + tokens[i];
        for (int64_t c = first; c < last; ++c) column[c * tied_->cols] += factor * from[c];
        if (gamma() == nullptr) continue;
        const Real* value = tied_->value.data() + tokens[i];
        for (int64_t c = first; c < last; ++c) {
          sums[static_cast<size_t>(c)] +=
              static_cast<double>(value[c * tied_->cols] > 0 ? from[c] : -from[c]);
        }
      }
    });
    SetGammaGradient(std::accumulate(sums.begin(), sums.end(), 0.0));
  }

  Parameter<Real>* tied_ = nullptr;
  Parameter<Real> table_;  // Of an untied layer.
  Parameter<Real> gamma_;
  std::vector<uint8_t> touched_;
};

}  // namespace bitlm::trainer
