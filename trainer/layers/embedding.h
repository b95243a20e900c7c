// The input embedding: e_t = W_e x_t ([LCY18] equations 2 and 9), a table of its own or the output
// layer's (Press and Wolf 2017; Inan et al. 2017).
#pragma once

#include <algorithm>
#include <span>

#include "engine/base/thread_pool.h"
#include "trainer/layers/parameter.h"

namespace bitlm::trainer {

template <typename Real>
class EmbeddingLayer {
 public:
  // table [V, E], sparse.
  EmbeddingLayer(int64_t vocabulary, int64_t size, bool binary, Real alpha)
      : table_(MakeParameter<Real>("embedding", vocabulary, size, binary ? alpha : Real(0))),
        touched_(static_cast<size_t>(vocabulary)) {
    table_.sparse = true;
  }

  // Tied to the output layer's table [E, V], which has to outlive this layer.
  explicit EmbeddingLayer(Parameter<Real>* output_table) : tied_(output_table) {}

  bool tied() const { return tied_ != nullptr; }
  Parameter<Real>& table() { return tied() ? *tied_ : table_; }

  // out [tokens.size(), E].
  void Forward(std::span<const int32_t> tokens, Real* out, ThreadPool* pool) const {
    if (tied()) return ForwardTied(tokens, out, pool);
    constexpr size_t kPiece = 128;
    const auto size = static_cast<size_t>(table_.cols);
    pool->ParallelFor((tokens.size() + kPiece - 1) / kPiece, [&](size_t piece) {
      for (size_t i = piece * kPiece; i < std::min(tokens.size(), (piece + 1) * kPiece); ++i) {
        const Real* row = table_.value.data() + static_cast<size_t>(tokens[i]) * size;
        Real* to = out + i * size;
        if (table_.binary()) {
          for (size_t c = 0; c < size; ++c) to[c] = row[c] > 0 ? table_.alpha : -table_.alpha;
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
    pool->ParallelFor(static_cast<size_t>((size + kPiece - 1) / kPiece), [&](size_t piece) {
      const int64_t first = static_cast<int64_t>(piece) * kPiece;
      const int64_t last = std::min(size, first + kPiece);
      for (size_t i = 0; i < tokens.size(); ++i) {
        Real* to = table_.gradient.data() + tokens[i] * size;
        const Real* from = out_gradient + static_cast<int64_t>(i) * size;
        for (int64_t c = first; c < last; ++c) to[c] += from[c];
      }
    });
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
  // Pieces of rows of the table: a row of V values stays in cache, and has one writer.
  template <typename Body>
  void ForTiedRows(ThreadPool* pool, const Body& body) const {
    constexpr int64_t kPiece = 16;
    const int64_t size = tied_->rows;
    pool->ParallelFor(static_cast<size_t>((size + kPiece - 1) / kPiece), [&](size_t piece) {
      const int64_t first = static_cast<int64_t>(piece) * kPiece;
      for (int64_t c = first; c < std::min(size, first + kPiece); ++c) body(c);
    });
  }

  void ForwardTied(std::span<const int32_t> tokens, Real* out, ThreadPool* pool) const {
    const auto size = static_cast<size_t>(tied_->rows);
    const Real alpha = tied_->alpha;
    ForTiedRows(pool, [&](int64_t c) {
      const Real* row = tied_->value.data() + c * tied_->cols;
      Real* to = out + c;
      for (size_t i = 0; i < tokens.size(); ++i) {
        const Real w = row[tokens[i]];
        to[i * size] = !tied_->binary() ? w : w > 0 ? alpha : -alpha;
      }
    });
  }

  void BackwardTied(std::span<const int32_t> tokens, const Real* out_gradient, ThreadPool* pool) {
    const auto size = static_cast<size_t>(tied_->rows);
    ForTiedRows(pool, [&](int64_t c) {
      Real* row = tied_->gradient.data() + c * tied_->cols;
      const Real* from = out_gradient + c;
      for (size_t i = 0; i < tokens.size(); ++i) row[tokens[i]] += from[i * size];
    });
  }

  Parameter<Real>* tied_ = nullptr;
  Parameter<Real> table_;  // Of an untied layer.
  std::vector<uint8_t> touched_;
};

}  // namespace bitlm::trainer
