// The output embedding and the softmax cross entropy: p_t = softmax(W_y^b z_t + b) ([LCY18]
// equations 4 and 9, where b = 0).
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "trainer/layers/parameter.h"
#include "trainer/layers/soft_targets.h"

namespace bitlm::trainer {

// Over the scored rows, nats.
struct LogZSums {
  double sum = 0, absolute = 0, squares = 0;
};

// Works in tiles of rows and words that stay in the second-level cache, in one pass: a tile's
// logits become e = exp(logit) at once, without the row's maximum (logits are far from the +-80 at
// which they are clamped), and e alone is kept, in the format of the weight gradient's product.
// Since softmax = e / sum, the sums are applied afterwards to the small side:
//
//   dC/dlogit = (e - sum * one_hot) * f,   f = gradient_scale / sum
//   dC/dz     = f * (e W_y)  - gradient_scale * W_y[target]
//   dC/dW_y   = (f * z)^T (e - sum * one_hot),  dC/db = f^T (e - sum * one_hot)
template <typename Backend>
class OutputLayer {
 public:
  using Real = typename Backend::Real;

  // `rows` is a multiple of 32. The table is kept as [E, V].
  OutputLayer(const Backend& backend, int64_t rows, int64_t size, int64_t vocabulary, bool binary,
              Real alpha, bool bias)
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
    if (bias) {
      bias_ = MakeParameter<Real>("output_bias", 1, vocabulary);
      row_scale_.resize(static_cast<size_t>(rows));
      row_scale_left_ = backend.MakeLeft(1, rows);
    }
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
  Parameter<Real>* bias() { return bias_.rows > 0 ? &bias_ : nullptr; }  // [1, V]
  OutputWeights<Real> weights() { return {.table = &table_, .factor = factor_, .bias = bias()}; }

  void Pack() {
    const Encode encode = table_.binary() ? Encode::kSign : Encode::kValue;
    const Real* values = table_.value.data();
    if (table_.fitted()) {  // The table has been fitted.
      TakeValues(table_.levels[0], values, table_.size(), backend_.pool(), table_.effective.data());
      values = table_.effective.data();
    }
    backend_.SetRight(values, table_.cols, encode, nullptr, &forward_);
    for (size_t tile = 0; tile < backward_.size(); ++tile) {
      backend_.SetRightFromColumns(forward_, static_cast<int64_t>(tile) * kTileWords,
                                   &backward_[tile]);
    }
  }

  // Multiplies what the table adds to every logit with `scale`, by its values or its factor. Before
  // Pack. A binary table's values for the input stay; a float one may not be tied.
  void ScaleTable(Real scale) {
    if (table_.binary()) {
      factor_ *= scale;
      std::fill(column_scale_.begin(), column_scale_.end(), factor_);
    } else {
      for (Real& w : table_.value.span()) w *= scale;
    }
  }
  void ScaleBias(Real scale) {
    for (Real& b : bias_.value.span()) b *= scale;
  }

  // Frees everything but weights().
  void KeepOnlyWeights() {
    forward_ = {};
    z_left_ = {};
    z_transposed_ = {};
    e_ = {};
    z_scaled_ = {};
    backward_.clear();
    scratch_.clear();
  }

  // z [rows, E]; targets [rows], negative = not scored. Returns the sum of -log p(target), nats.
  double Loss(const Real* z, const int32_t* targets) { return Run(z, targets, 0, nullptr); }
  // Of the last pass: the logit of each scored row's target. [rows]
  const std::vector<Real>& target_logits() const { return target_logits_; }

  // The same, with gradients of gradient_scale * loss: z_gradient [rows, E], and the table's. With
  // teachers, whose z is of the same rows and which are packed in `packed` with from.temperature,
  // the gradients are those of the loss in soft_targets.h. The teachers' part is added to the
  // gradients above: with p a teacher's distribution at temperature T, e' = exp(its logit / T),
  // N teachers and g = gradient_scale * weight * T / (N * sum'), it is
  //
  //   dC/dz -= g * (e' W_y),   dC/dW_y -= (g * z)^T e',   dC/db -= g^T e'
  //
  // and what H has of the pupil's q alone is the softmax of the loss above, if T = 1, and otherwise
  // one more such term, of the pupil's own logits / T, with the other sign.
  double LossAndGradient(const Real* z, const int32_t* targets, Real gradient_scale,
                         Real* z_gradient, const Distillation<Real>& from = {},
                         const PackedTeachers<Backend>& packed = {}) {
    hard_weight_ = 1 - from.weight;
    softmax_weight_ = from.temperature == 1 ? Real(1) : hard_weight_;
    const double loss = Run(z, targets, gradient_scale, z_gradient);
    MultiplyGradients(false);
    if (from.weight > 0) Distill(z, targets, gradient_scale, from, packed, z_gradient);
    return loss;
  }

  // Of the last LossAndGradient with teachers: the sum of H(p, q) at their temperature over the
  // scored rows, nats; without the constant of weighted words.
  double distillation_loss() const { return distillation_loss_; }

  // Of the last Loss or LossAndGradient.
  const LogZSums& log_z() const { return log_z_; }

  // From now on LossAndGradient's gradients are also those of gradient_scale * weight * (log Z)^2
  // of every scored row, Z the sum of exp(logit) (self-normalization: Devlin et al. 2014, "Fast and
  // robust neural network joint models", section 2.2; Andreas and Klein 2015). The softmax's part
  // of dC/dlogit is multiplied with 1 + 2 weight log Z.
  void set_self_normalization(Real weight) { self_normalization_ = weight; }

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
      // alpha is applied to z, which is smaller than the logits.
      backend_.SetLeftRows(z + row * table_.rows, count, table_.rows,
                           table_.binary() ? column_scale_.data() : nullptr, row, &z_left_);
      AddExponentials(z_left_, forward_, bias() != nullptr ? bias_.value.data() : nullptr, targets,
                      row, count, &sums_, z_gradient, &scratch_[piece]);
      if (z_gradient != nullptr) ApplySums(z, targets, gradient_scale, row, count, z_gradient);
    });
    double loss = 0;
    log_z_ = {};
    for (size_t r = 0; r < sums_.size(); ++r) {
      if (targets[r] < 0) continue;
      const double log_z = std::log(sums_[r]);
      loss += log_z - static_cast<double>(target_logits_[r]);
      log_z_.sum += log_z;
      log_z_.absolute += std::fabs(log_z);
      log_z_.squares += log_z * log_z;
    }
    return loss;
  }

  void Distill(const Real* z, const int32_t* targets, Real gradient_scale,
               const Distillation<Real>& from, const PackedTeachers<Backend>& packed,
               Real* z_gradient) {
    if (soft_gradient_.size() == 0) {
      soft_gradient_ = AlignedBuffer<Real>(z_scaled_.size());
      soft_sums_.resize(sums_.size());
      soft_logits_.resize(sums_.size());
    }
    const Real t = from.temperature;
    const Real share = gradient_scale * from.weight * t;
    distillation_loss_ = 0;
    if (t != 1) {
      soft_scale_.assign(static_cast<size_t>(table_.rows), factor_ / t);
      soft_bias_.assign(bias_.value.begin(), bias_.value.end());
      for (Real& b : soft_bias_) b /= t;
      AddMeanLogits(
          z, targets, share, forward_, bias() != nullptr ? soft_bias_.data() : nullptr, z_left_,
          [&](int64_t row, int64_t count) {
            backend_.SetLeftRows(z + row * table_.rows, count, table_.rows, soft_scale_.data(), row,
                                 &z_left_);
          },
          z_gradient);
    }
    const std::vector<double>& sums = t == 1 ? sums_ : soft_sums_;
    for (size_t r = 0; r < sums.size(); ++r) {
      if (targets[r] >= 0) distillation_loss_ += std::log(sums[r]);
    }
    const auto teachers = static_cast<Real>(from.teachers.size());
    for (size_t i = 0; i < from.teachers.size(); ++i) {
      SoftTargets<Backend>& teacher = *packed[i];
      distillation_loss_ -=
          AddMeanLogits(
              z, targets, -share / teachers, teacher.forward(), teacher.bias(), teacher.z_left(),
              [&](int64_t row, int64_t count) { teacher.SetRows(from.teachers[i].z, row, count); },
              z_gradient) /
          static_cast<double>(t * teachers);
    }
  }

  // Adds the gradients of `coefficient` * the mean of the pupil's logits under the distributions
  // p = softmax(left * forward + bias), which count as constants, and returns the sum of the means
  // over the scored rows. set_rows(row, count) makes rows of `left`.
  template <typename SetRows>
  double AddMeanLogits(const Real* z, const int32_t* targets, Real coefficient,
                       const typename Backend::Right& forward, const Real* bias_values,
                       const typename Backend::Left& left, const SetRows& set_rows,
                       Real* z_gradient) {
    backend_.pool()->ParallelFor(static_cast<size_t>(pieces_), [&](size_t piece) {
      const int64_t row = static_cast<int64_t>(piece) * piece_rows_;
      const int64_t count = std::min(piece_rows_, rows_ - row);
      set_rows(row, count);
      AddExponentials(left, forward, bias_values, nullptr, row, count, &soft_sums_,
                      soft_gradient_.data(), &scratch_[piece]);
      ApplySoftSums(z, targets, coefficient, row, count, z_gradient);
    });
    double logits = 0;
    for (const double of_row : soft_logits_) logits += of_row;
    // The mean of b under p, summed over the rows, is what they add to b's gradient, but for the
    // coefficient.
    const double before = BiasTimesGradient();
    MultiplyGradients(true);
    return logits + (BiasTimesGradient() - before) / static_cast<double>(coefficient);
  }

  // The gradients of table and bias from those of the logits.
  void MultiplyGradients(bool accumulate) {
    backend_.SetLeftTransposed(z_scaled_.data(), rows_, table_.rows, &z_transposed_);
    backend_.MultiplyAll(z_transposed_, e_, table_.gradient.data(), table_.cols, accumulate);
    if (bias() == nullptr) return;
    backend_.SetLeftRows(row_scale_.data(), 1, rows_, nullptr, 0, &row_scale_left_);
    backend_.MultiplyAll(row_scale_left_, e_, bias_.gradient.data(), table_.cols, accumulate);
  }

  double BiasTimesGradient() const {
    double sum = 0;
    for (size_t i = 0; i < bias_.value.size(); ++i)
      sum += static_cast<double>(bias_.value[i]) * static_cast<double>(bias_.gradient[i]);
    return sum;
  }

  // Sums, e, and e W_y^signs (into `out` [rows, E], unless null) of rows [row, row + count) of the
  // logits left * forward + bias (null = 0); `targets`, unless null: their logits are kept.
  void AddExponentials(const typename Backend::Left& left, const typename Backend::Right& forward,
                       const Real* bias, const int32_t* targets, int64_t row, int64_t count,
                       std::vector<double>* sums, Real* out, Scratch* scratch) {
    const int64_t size = table_.rows;
    std::fill_n(sums->data() + row, count, 0.0);
    for (size_t tile = 0; tile < backward_.size(); ++tile) {
      const int64_t column = static_cast<int64_t>(tile) * kTileWords;
      const int64_t cols = backward_[tile].rows;
      Real* logits = scratch->logits.data();
      backend_.Multiply(left, row, count, forward, column, cols, logits, cols, false);
      for (int64_t r = 0; bias != nullptr && r < count; ++r) {
        for (int64_t c = 0; c < cols; ++c) logits[r * cols + c] += bias[column + c];
      }
      for (int64_t r = 0; targets != nullptr && r < count; ++r) {
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
      const bool gradient = out != nullptr;
      backend_.ExpTile(logits, count, cols, sums->data() + row, column, row, gradient ? e : nullptr,
                       gradient ? &e_ : nullptr);
      if (gradient) {
        backend_.Multiply(*e, 0, count, backward_[tile], 0, size, out + row * size, size, tile > 0);
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
      const Real share = SoftmaxShare(sums_[at]);
      const Real f = target < 0 ? Real(0) : gradient_scale * share / static_cast<Real>(sums_[at]);
      if (bias() != nullptr) row_scale_[at] = f;
      if (target < 0) {
        std::fill(dz, dz + size, Real(0));
        std::fill(scaled, scaled + size, Real(0));
        continue;
      }
      for (int64_t c = 0; c < size; ++c) {
        dz[c] *= f * factor_;
        scaled[c] = f * z[r * size + c];
      }
      if (hard_weight_ == 0) continue;
      backend_.AddRightRow(backward_[static_cast<size_t>(target / kTileWords)], target % kTileWords,
                           -gradient_scale * hard_weight_ * factor_, dz);
      backend_.SetRightEntry(r, target,
                             static_cast<Real>(std::exp(static_cast<double>(target_logits_[at])) -
                                               static_cast<double>(hard_weight_) /
                                                   static_cast<double>(share) * sums_[at]),
                             &e_);
    }
  }

  // dC/dlogit = gradient_scale * (share * softmax - hard_weight * one_hot). The second term enters
  // the table's gradient divided by the share, which is therefore kept off 0.
  Real SoftmaxShare(double sum) const {
    if (self_normalization_ == 0) return softmax_weight_;
    const Real share = softmax_weight_ + 2 * self_normalization_ * static_cast<Real>(std::log(sum));
    const Real least = Real(1e-3) * hard_weight_;
    return std::fabs(share) < least ? std::copysign(least, share) : share;
  }

  void ApplySoftSums(const Real* z, const int32_t* targets, Real coefficient, int64_t row,
                     int64_t count, Real* z_gradient) {
    const int64_t size = table_.rows;
    for (int64_t r = row; r < row + count; ++r) {
      const auto at = static_cast<size_t>(r);
      Real* scaled = z_scaled_.data() + r * size;
      soft_logits_[at] = 0;
      const Real g = targets[r] < 0 ? Real(0) : coefficient / static_cast<Real>(soft_sums_[at]);
      if (bias() != nullptr) row_scale_[at] = g;
      if (targets[r] < 0) {
        std::fill(scaled, scaled + size, Real(0));
        continue;
      }
      // The mean of W_y's rows under p, and with it the mean logit without the bias.
      const Real* mean = soft_gradient_.data() + r * size;
      double logit = 0;
      for (int64_t c = 0; c < size; ++c) {
        logit += static_cast<double>(mean[c]) * static_cast<double>(z[r * size + c]);
        z_gradient[r * size + c] += g * factor_ * mean[c];
        scaled[c] = g * z[r * size + c];
      }
      soft_logits_[at] = logit * static_cast<double>(factor_) / soft_sums_[at];
    }
  }

  const Backend& backend_;
  int64_t rows_, piece_rows_ = 0, pieces_ = 0;
  Parameter<Real> table_, bias_;
  Real factor_;  // Of the table in logits. Of a binary table that is tied, alpha is its input's.
  typename Backend::Right forward_;                // [E, V]
  std::vector<typename Backend::Right> backward_;  // Tiles [kTileWords, E].
  typename Backend::Left z_left_;
  AlignedBuffer<Real> z_scaled_;  // f * z
  std::vector<Real> row_scale_;   // f, for the bias.
  typename Backend::Left row_scale_left_;
  typename Backend::Left z_transposed_;
  typename Backend::Right e_;  // [rows, V]
  int64_t weighted_from_ = std::numeric_limits<int64_t>::max();
  Real log_weight_ = 0;
  std::vector<Real> column_scale_;
  std::vector<double> sums_;
  std::vector<Real> target_logits_;
  std::vector<Scratch> scratch_;
  Real hard_weight_ = 1;                         // Of the words of the text in the targets.
  Real softmax_weight_ = 1;                      // Of the softmax's own part of the gradient.
  AlignedBuffer<Real> soft_gradient_;            // e' W_y^signs
  std::vector<double> soft_sums_, soft_logits_;  // [rows]
  std::vector<Real> soft_scale_, soft_bias_;     // Of logits over the temperature.
  double distillation_loss_ = 0;
  Real self_normalization_ = 0;
  LogZSums log_z_;
};

}  // namespace bitlm::trainer
