// Training with a part of the vocabulary: importance sampling of the softmax (Bengio and Senecal
// 2008; Jean et al. 2015, arXiv:1412.2007, section 3).
#pragma once

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <span>
#include <vector>

#include "trainer/layers/output.h"
#include "trainer/layers/soft_targets.h"
#include "trainer/tensor/random.h"

namespace bitlm::trainer {

// Which words a step computes, in two halves. The first: every target of the step, and the most
// frequent words (ids are in descending frequency). The second: random words of the rest, each of
// which stands for (number of the rest) / (size of the half) words in the softmax's sum, so that
// the sum is right on average.
class VocabularySample {
 public:
  // `size` is even and less than `vocabulary`.
  VocabularySample(int64_t vocabulary, int64_t size)
      : half_(size / 2), place_(static_cast<size_t>(vocabulary), -1) {
    words_.resize(static_cast<size_t>(size));
    rest_.reserve(static_cast<size_t>(vocabulary));
  }

  // Chooses for these targets (negative = none); `key` is the random choice. False when they have
  // more distinct words than fit.
  bool Choose(std::span<const int32_t> targets, uint64_t key) {
    std::fill(place_.begin(), place_.end(), -1);
    int64_t count = 0;
    const auto take = [&](int32_t word) {
      auto& place = place_[static_cast<size_t>(word)];
      if (place >= 0) return true;
      if (count == half_) return false;
      place = static_cast<int32_t>(count);
      words_[static_cast<size_t>(count++)] = word;
      return true;
    };
    for (const int32_t target : targets) {
      if (target >= 0 && !take(target)) return false;
    }
    for (int32_t word = 0; count < half_; ++word) take(word);
    rest_.clear();
    for (size_t word = 0; word < place_.size(); ++word) {
      if (place_[word] < 0) rest_.push_back(static_cast<int32_t>(word));
    }
    // One word of each of `half` stretches of the rest: frequent and rare ones in their shares.
    const double stretch = static_cast<double>(rest_.size()) / static_cast<double>(half_);
    for (int64_t i = 0; i < half_; ++i) {
      const double at =
          (static_cast<double>(i) + UniformAt(key, static_cast<uint64_t>(i))) * stretch;
      const size_t index = std::min(rest_.size() - 1, static_cast<size_t>(at));
      words_[static_cast<size_t>(half_ + i)] = rest_[index];
    }
    log_weight_ = std::log(stretch);
    return true;
  }

  std::span<const int32_t> words() const { return words_; }
  int64_t half() const { return half_; }
  // ln of the words that one of the second half stands for.
  double log_weight() const { return log_weight_; }
  // Where in words() a target of the last Choose is.
  int32_t Place(int32_t target) const { return place_[static_cast<size_t>(target)]; }

 private:
  int64_t half_;
  std::vector<int32_t> place_;  // [V] -1 = not in the first half.
  std::vector<int32_t> words_, rest_;
  double log_weight_ = 0;
};

// The output layer of a step, on the sampled columns of another layer's table.
template <typename Backend>
class SampledOutputLayer {
 public:
  using Real = typename Backend::Real;

  // `samples` is a multiple of two tiles of OutputLayer, and less than the vocabulary.
  SampledOutputLayer(const Backend& backend, int64_t rows, int64_t size, int64_t vocabulary,
                     int64_t samples, bool binary, Real alpha, bool bias)
      : backend_(backend),
        sample_(vocabulary, samples),
        inner_(backend, rows, size, samples, binary, alpha, bias),
        places_(static_cast<size_t>(rows)) {}

  // Of the last LossAndGradient that was true, and as OutputLayer's.
  const LogZSums& log_z() const { return inner_.log_z(); }
  double distillation_loss() const { return inner_.distillation_loss(); }
  void set_self_normalization(Real weight) { inner_.set_self_normalization(weight); }

  // As OutputLayer's, with an estimate of the loss and its exact gradients; sets those of
  // `output`'s parameters. False, with nothing done, when the targets have too many distinct words.
  // With teachers all distributions are over the sample; with self-normalization log Z is that of
  // the estimated sum, a little too small on average, and its variance is penalized, too.
  bool LossAndGradient(const Real* z, std::span<const int32_t> targets,
                       const Distillation<Real>& from, uint64_t key, Real gradient_scale,
                       Real* z_gradient, OutputLayer<Backend>* output, double* loss) {
    Parameter<Real>* table = &output->table();
    if (!sample_.Choose(targets, key)) return false;
    for (size_t r = 0; r < places_.size(); ++r) {
      places_[r] = targets[r] < 0 ? -1 : sample_.Place(targets[r]);
    }
    const std::span<const int32_t> words = sample_.words();
    Parameter<Real>& part = inner_.table();
    backend_.pool()->ParallelFor(static_cast<size_t>(table->rows), [&](size_t row) {
      const Real* values = table->value.data() + static_cast<int64_t>(row) * table->cols;
      Real* to = part.value.data() + static_cast<int64_t>(row) * part.cols;
      for (size_t i = 0; i < words.size(); ++i) to[i] = values[words[i]];
      if (table->fitted()) {
        for (size_t i = 0; i < words.size(); ++i) to[i] = table->levels[0].Value(to[i]);
      }
    });
    if (output->bias() != nullptr) {
      for (size_t i = 0; i < words.size(); ++i)
        inner_.bias()->value[i] = output->bias()->value[static_cast<size_t>(words[i])];
    }
    inner_.Pack();
    inner_.SetWeight(sample_.half(), static_cast<Real>(sample_.log_weight()));
    while (packed_.size() < from.teachers.size()) {
      packed_.push_back(std::make_unique<SoftTargets<Backend>>(
          backend_, static_cast<int64_t>(places_.size()),
          from.teachers[packed_.size()].output.table->rows, static_cast<int64_t>(words.size())));
    }
    for (size_t i = 0; i < from.teachers.size(); ++i)
      packed_[i]->PackColumns(from.teachers[i].output, from.temperature, words);
    *loss = inner_.LossAndGradient(z, places_.data(), gradient_scale, z_gradient, from, packed_);
    backend_.pool()->ParallelFor(static_cast<size_t>(table->rows), [&](size_t row) {
      const Real* gradient = part.gradient.data() + static_cast<int64_t>(row) * part.cols;
      Real* to = table->gradient.data() + static_cast<int64_t>(row) * table->cols;
      std::fill(to, to + table->cols, Real(0));
      for (size_t i = 0; i < words.size(); ++i) to[words[i]] += gradient[i];
    });
    if (output->bias() != nullptr) {
      auto& gradient = output->bias()->gradient;
      std::fill(gradient.begin(), gradient.end(), Real(0));
      for (size_t i = 0; i < words.size(); ++i)
        gradient[static_cast<size_t>(words[i])] += inner_.bias()->gradient[i];
    }
    return true;
  }

 private:
  const Backend& backend_;
  VocabularySample sample_;
  OutputLayer<Backend> inner_;
  std::vector<int32_t> places_;
  PackedTeachers<Backend> packed_;
};

}  // namespace bitlm::trainer
