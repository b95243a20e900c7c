// A teacher's next-word distributions as targets: knowledge distillation (Hinton, Vinyals, Dean
// 2015, arXiv:1503.02531; of word-level models Kim and Rush 2016, section 3.1).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/base/aligned_buffer.h"
#include "trainer/layers/parameter.h"

namespace bitlm::trainer {

// The teacher's output layer, as far as it computes logits: of all words, or of some.
template <typename Backend>
class SoftTargets {
 public:
  using Real = typename Backend::Real;

  // `rows` of activations, `size` = E of the teacher, `words` = as many as are computed.
  SoftTargets(const Backend& backend, int64_t rows, int64_t size, int64_t words)
      : backend_(backend),
        z_left_(backend.MakeLeft(rows, size)),
        forward_(backend.MakeRight(size, words)) {}

  // Takes the teacher's table [E, V], whole.
  void Pack(const Parameter<Real>& table) { Set(table, table.value.data(), table.cols); }

  // Takes the columns `words` of it.
  void PackColumns(const Parameter<Real>& table, std::span<const int32_t> words) {
    if (part_.size() == 0)
      part_ = AlignedBuffer<Real>(static_cast<size_t>(forward_.rows * forward_.cols));
    backend_.pool()->ParallelFor(static_cast<size_t>(table.rows), [&](size_t row) {
      const Real* from = table.value.data() + static_cast<int64_t>(row) * table.cols;
      Real* to = part_.data() + row * words.size();
      for (size_t i = 0; i < words.size(); ++i) to[i] = from[words[i]];
    });
    Set(table, part_.data(), static_cast<int64_t>(words.size()));
  }

  // Rows [row, row + count) of the teacher's last layer, `z` of all rows. Not parallel.
  void SetRows(const Real* z, int64_t row, int64_t count) {
    backend_.SetLeftRows(z + row * z_left_.cols, count, z_left_.cols, scale_.data(), row, &z_left_);
  }

  const typename Backend::Left& z_left() const { return z_left_; }
  const typename Backend::Right& forward() const { return forward_; }

 private:
  void Set(const Parameter<Real>& table, const Real* values, int64_t stride) {
    backend_.SetRight(values, stride, table.binary() ? Encode::kSign : Encode::kValue, nullptr,
                      &forward_);
    scale_.assign(static_cast<size_t>(table.rows), table.binary() ? table.alpha : Real(1));
  }

  const Backend& backend_;
  typename Backend::Left z_left_;
  typename Backend::Right forward_;
  std::vector<Real> scale_;
  AlignedBuffer<Real> part_;
};

// What a training pass needs of a teacher: the activations z [rows, E] before its output table for
// this batch, the table, and the share of the loss that its distributions take.
template <typename Real>
struct Teacher {
  const Real* z = nullptr;
  const Parameter<Real>* table = nullptr;
  Real weight = 0;  // In [0, 1]; the rest is the cross entropy with the text's words.
};

}  // namespace bitlm::trainer
