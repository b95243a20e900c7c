// The output embedding and the softmax cross entropy: p_t = softmax(W_y^b z_t) ([LCY18] equations 4
// and 9, no bias).
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "trainer/layers/parameter.h"

namespace bitlm::trainer {

// Works in tiles of rows and words that stay in the second-level cache, in one pass: a tile's
// logits become e = exp(logit) at once, without the row's maximum (logits are far from the +-80 at
// which they are clamped), and e alone is kept, in the format of the weight gradient's product.
// Since softmax = e / sum, the sums are applied afterwards to the small side:
//
//   dC/dlogit = (e - sum * one_hot) * f,   f = gradient_scale / sum
//   dC/dz     = f * (e W_y)  - gradient_scale * W_y[target]
//   dC/dW_y   = (f * z)^T (e - sum * one_hot)
template <typename Backend>
class OutputLayer {
 public:
  using Real = typename Backend::Real;

  // `rows` is a multiple of 32. The table is kept as [E, V].
  OutputLayer(const Backend& backend, int64_t rows, int64_t size, int64_t vocabulary, bool binary,
              Real alpha)
      : backend_(backend),
        rows_(rows),
        table_(MakeParameter<Real>("output_embedding", size, vocabulary, binary ? alpha : Real(0))),
        factor_(binary ? alpha : Real(1)),
        forward_(backend.MakeRight(size, vocabulary)),
        z_left_(backend.MakeLeft(rows, size)),
        z_scaled_(static_cast<size_t>(rows * size)),
        z_transposed_(backend.MakeLeft(size, rows)),
        e_(backend.MakeRight(rows, vocabulary)),
        column_scale_(static_cast<size_t>(size), factor_),
        sums_(static_cast<size_t>(rows)),
        target_logits_(static_cast<size_t>(rows)) {
    for (int64_t first = 0; first < vocabulary; first += kTileWords) {
      backward_.push_back(backend.MakeRight(std::min(kTileWords, vocabulary - first), size));
    }
    // Pieces of equal size, as many for each thread.
    const int64_t threads = backend.pool()->threads();
    const int64_t pieces = ((rows + kTileRows - 1) / kTileRows + threads - 1) / threads * threads;
    piece_rows_ = ((rows + pieces - 1) / pieces + kPackRows - 1) / kPackRows * kPackRows;
    pieces_ = (rows + piece_rows_ - 1) / piece_rows_;
    for (int64_t i = 0; i < pieces_; ++i) {
      scratch_.push_back(
          {AlignedBuffer<Real>(static_cast<size_t>(piece_rows_ * kTileWords)), {}, {}});
      scratch_.back().e = backend.MakeLeft(piece_rows_, std::min(kTileWords, vocabulary));
      scratch_.back().e_last = backend.MakeLeft(piece_rows_, backward_.back().rows);
    }
  }

  Parameter<Real>& table() { return table_; }

  void Pack() {
    const Encode encode = table_.binary() ? Encode::kSign : Encode::kValue;
    backend_.SetRight(table_.value.data(), table_.cols, encode, nullptr, &forward_);
    for (size_t tile = 0; tile < backward_.size(); ++tile) {
      backend_.SetRightFromColumns(forward_, static_cast<int64_t>(tile) * kTileWords,
                                   &backward_[tile]);
    }
  }

  // Multiplies every logit with `scale`, by the table's values or its alpha. Before Pack.
  void ScaleLogits(Real scale) {
    if (table_.binary()) {
      table_.alpha *= scale;
      factor_ = table_.alpha;
      std::fill(column_scale_.begin(), column_scale_.end(), factor_);
    } else {
      for (Real& w : table_.value.span()) w *= scale;
    }
  }

  // z [rows, E]; targets [rows], negative = not scored. Returns the sum of -log p(target), nats.
  double Loss(const Real* z, const int32_t* targets) { return Run(z, targets, 0, nullptr); }

  // The same, with gradients of gradient_scale * loss: z_gradient [rows, E], and the table's.
  double LossAndGradient(const Real* z, const int32_t* targets, Real gradient_scale,
                         Real* z_gradient) {
    const double loss = Run(z, targets, gradient_scale, z_gradient);
    backend_.SetLeftTransposed(z_scaled_.data(), rows_, table_.rows, &z_transposed_);
    backend_.MultiplyAll(z_transposed_, e_, table_.gradient.data(), table_.cols, false);
    return loss;
  }

  // Words from `first` on, a multiple of kTileWords, count exp(log_weight) times in the sums.
  void SetWeight(int64_t first, Real log_weight) {
    weighted_from_ = first;
    log_weight_ = log_weight;
  }

  static constexpr int64_t kTileWords = 512;

 private:
  static constexpr int64_t kTileRows = 256;  // About: see the constructor.

  struct Scratch {
    AlignedBuffer<Real> logits;  // [piece_rows, kTileWords]
    typename Backend::Left e,
        e_last;  // The same, as a left operand; of the last tile, which may be narrower.
  };

  double Run(const Real* z, const int32_t* targets, Real gradient_scale, Real* z_gradient) {
    backend_.pool()->ParallelFor(static_cast<size_t>(pieces_), [&](size_t piece) {
      const int64_t row = static_cast<int64_t>(piece) * piece_rows_;
      const int64_t count = std::min(piece_rows_, rows_ - row);
      AddExponentials(z, targets, row, count, z_gradient, &scratch_[piece]);
      if (z_gradient != nullptr) ApplySums(z, targets, gradient_scale, row, count, z_gradient);
    });
    double loss = 0;
    for (size_t r = 0; r < sums_.size(); ++r) {
      if (targets[r] >= 0) loss += std::log(sums_[r]) - static_cast<double>(target_logits_[r]);
    }
    return loss;
  }

  // Sums, e, and e W_y^signs (into z_gradient) of rows [row, row + count).
  void AddExponentials(const Real* z, const int32_t* targets, int64_t row, int64_t count,
                       Real* z_gradient, Scratch* scratch) {
    const int64_t size = table_.rows;
    std::fill_n(sums_.data() + row, count, 0.0);
    // alpha is applied to z, which is smaller than the logits.
    backend_.SetLeftRows(z + row * size, count, size,
                         table_.binary() ? column_scale_.data() : nullptr, row, &z_left_);
    for (size_t tile = 0; tile < backward_.size(); ++tile) {
      const int64_t column = static_cast<int64_t>(tile) * kTileWords;
      const int64_t cols = backward_[tile].rows;
      Real* logits = scratch->logits.data();
      backend_.Multiply(z_left_, row, count, forward_, column, cols, logits, cols, false);
      for (int64_t r = 0; r < count; ++r) {
        const int64_t target = targets[row + r] - column;
        if (target >= 0 && target < cols)
          // Clamped as the exponentials are: a network that has diverged must not look good.
          target_logits_[static_cast<size_t>(row + r)] =
              std::clamp(logits[r * cols + target], Real(-80), Real(80));
      }
      if (column >= weighted_from_) {
        for (int64_t i = 0; i < count * cols; ++i) logits[i] += log_weight_;
      }
      typename Backend::Left* e = tile + 1 < backward_.size() ? &scratch->e : &scratch->e_last;
      const bool gradient = z_gradient != nullptr;
      backend_.ExpTile(logits, count, cols, sums_.data() + row, column, row, gradient ? e : nullptr,
                       gradient ? &e_ : nullptr);
      if (gradient) {
        backend_.Multiply(*e, 0, count, backward_[tile], 0, size, z_gradient + row * size, size,
                          tile > 0);
      }
    }
  }

  void ApplySums(const Real* z, const int32_t* targets, Real gradient_scale, int64_t row,
                 int64_t count, Real* z_gradient) {
    const int64_t size = table_.rows;
    for (int64_t r = row; r < row + count; ++r) {
      const auto at = static_cast<size_t>(r);
      Real* dz = z_gradient + r * size;
      Real* scaled = z_scaled_.data() + r * size;
      const int32_t target = targets[r];
      if (target < 0) {
        std::fill(dz, dz + size, Real(0));
        std::fill(scaled, scaled + size, Real(0));
        continue;
      }
      const Real f = gradient_scale / static_cast<Real>(sums_[at]);
      for (int64_t c = 0; c < size; ++c) {
        dz[c] *= f * factor_;
        scaled[c] = f * z[r * size + c];
      }
      backend_.AddRightRow(backward_[static_cast<size_t>(target / kTileWords)], target % kTileWords,
                           -gradient_scale * factor_, dz);
      backend_.SetRightEntry(
          r, target,
          static_cast<Real>(std::exp(static_cast<double>(target_logits_[at])) - sums_[at]), &e_);
    }
  }

  const Backend& backend_;
  int64_t rows_, piece_rows_ = 0, pieces_ = 0;
  Parameter<Real> table_;
  Real factor_;
  typename Backend::Right forward_;                // [E, V]
  std::vector<typename Backend::Right> backward_;  // Tiles [kTileWords, E].
  typename Backend::Left z_left_;
  AlignedBuffer<Real> z_scaled_;  // f * z
  typename Backend::Left z_transposed_;
  typename Backend::Right e_;  // [rows, V]
  int64_t weighted_from_ = std::numeric_limits<int64_t>::max();
  Real log_weight_ = 0;
  std::vector<Real> column_scale_;
  std::vector<double> sums_;
  std::vector<Real> target_logits_;
  std::vector<Scratch> scratch_;
};

}  // namespace bitlm::trainer
