// Teachers' next-word distributions as targets: knowledge distillation (Hinton, Vinyals, Dean 2015,
// arXiv:1503.02531; of word-level models Kim and Rush 2016, section 3.1).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/base/aligned_buffer.h"
#include "trainer/layers/parameter.h"

namespace bitlm::trainer {

// An output layer's parameters: logit = factor * (z W) + bias, factor for binary tables.
template <typename Real>
struct OutputWeights {
  const Parameter<Real>* table = nullptr;  // [E, V]
  Real factor = 1;
  const Parameter<Real>* bias = nullptr;  // [1, V] or null.
};

// The teacher's output layer, as far as it computes logits: of all words, or of some. Its table has
// no fitted scales: a teacher with such tables is a float network (init/from_model.h).
template <typename Backend>
class SoftTargets {
 public:
  using Real = typename Backend::Real;

  // `rows` of activations, `size` = E of the teacher, `words` = as many as are computed.
  SoftTargets(const Backend& backend, int64_t rows, int64_t size, int64_t words)
      : backend_(backend),
        z_left_(backend.MakeLeft(rows, size)),
        forward_(backend.MakeRight(size, words)) {}

  // Takes the teacher's weights, whole. Its logits are divided by `temperature`.
  void Pack(const OutputWeights<Real>& weights, Real temperature) {
    if (weights.bias != nullptr)
      bias_.assign(weights.bias->value.begin(), weights.bias->value.end());
    Set(weights, temperature, weights.table->value.data(), weights.table->cols);
  }

  // Takes the columns `words` of them.
  void PackColumns(const OutputWeights<Real>& weights, Real temperature,
                   std::span<const int32_t> words) {
    const Parameter<Real>& table = *weights.table;
    if (weights.bias != nullptr) {
      bias_.resize(words.size());
      for (size_t i = 0; i < words.size(); ++i)
        bias_[i] = weights.bias->value[static_cast<size_t>(words[i])];
    }
    if (part_.size() == 0)
      part_ = AlignedBuffer<Real>(static_cast<size_t>(forward_.rows * forward_.cols));
    backend_.pool()->ParallelFor(static_cast<size_t>(table.rows), [&](size_t row) {
      const Real* from = table.value.data() + static_cast<int64_t>(row) * table.cols;
      Real* to = part_.data() + row * words.size();
      for (size_t i = 0; i < words.size(); ++i) to[i] = from[words[i]];
    });
    Set(weights, temperature, part_.data(), static_cast<int64_t>(words.size()));
  }

  // Rows [row, row + count) of the teacher's last layer, `z` of all rows. Not parallel.
  void SetRows(const Real* z, int64_t row, int64_t count) {
    backend_.SetLeftRows(z + row * z_left_.cols, count, z_left_.cols, scale_.data(), row, &z_left_);
  }

  const typename Backend::Left& z_left() const { return z_left_; }
  const typename Backend::Right& forward() const { return forward_; }
  const Real* bias() const { return bias_.empty() ? nullptr : bias_.data(); }

 private:
  // bias_ has the words' biases.
  void Set(const OutputWeights<Real>& weights, Real temperature, const Real* values,
           int64_t stride) {
    backend_.SetRight(values, stride, weights.table->binary() ? Encode::kSign : Encode::kValue,
                      nullptr, &forward_);
    scale_.assign(static_cast<size_t>(weights.table->rows), weights.factor / temperature);
    for (Real& b : bias_) b /= temperature;
  }

  const Backend& backend_;
  typename Backend::Left z_left_;
  typename Backend::Right forward_;
  std::vector<Real> scale_, bias_;
  AlignedBuffer<Real> part_;
};

// What a training pass needs of a teacher: the activations z [rows, E] before its output layer for
// this batch, and that layer.
template <typename Real>
struct Teacher {
  const Real* z = nullptr;
  OutputWeights<Real> output;
};

// What a training pass learns from teachers. The target p is the mean of their distributions (an
// ensemble's: Hinton, Vinyals, Dean 2015, section 1). The loss of a position is
//
//   (1 - weight) * -log q(word of the text) + weight * T^2 * H(p, q)
//
// where in H, not in the first term, the logits of teachers and pupil are divided by T. With T^2
// the two terms' gradients keep their ratio when T changes (the same, section 2). H is the cross
// entropy, so the constant entropy of p is in it.
template <typename Real>
struct Distillation {
  std::vector<Teacher<Real>> teachers;  // Always the same ones, in the same order.
  Real weight = 0;                      // In [0, 1]; 0 = no teachers.
  Real temperature = 1;                 // T > 0
};

// The packed output layers of a Distillation's teachers.
template <typename Backend>
using PackedTeachers = std::vector<std::unique_ptr<SoftTargets<Backend>>>;

}  // namespace bitlm::trainer
