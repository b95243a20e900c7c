// Optimizers: SGD and Adam, with gradient clipping, for float and latent binary parameters.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "engine/base/thread_pool.h"
#include "trainer/layers/parameter.h"
#include "trainer/optim/optimizer_options.h"

namespace bitlm::trainer {

// Owns the moments of a fixed list of parameters. Latent binary weights are clamped to [-alpha,
// alpha] after every update ([LCY18] Algorithm 2, line 6), those with fitted scales to the limits
// of the last fit. Sparse parameters are updated in their touched rows only, moments included (lazy
// Adam).
class Optimizer {
 public:
  Optimizer(const OptimizerOptions& options, std::vector<Parameter<float>*> parameters,
            ThreadPool* pool);

  // One update with the parameters' gradients, which it does not clear. Errors: INTERNAL, with
  // nothing changed, when the gradients are not finite.
  absl::Status Step(double learning_rate);

  // For checkpoints: updates done, and the moments in the order of the parameters (empty for SGD).
  int64_t steps() const { return steps_; }
  void set_steps(int64_t steps) { steps_ = steps; }
  std::vector<AlignedBuffer<float>>& first_moments() { return first_; }
  std::vector<AlignedBuffer<float>>& second_moments() { return second_; }

 private:
  double SquaresOfGradient(const Parameter<float>& parameter) const;
  bool Clips(const Parameter<float>& parameter) const {
    return options_.clip_latent || !parameter.binarized();
  }
  void LimitColumns(Parameter<float>* parameter);
  void Update(size_t index, int64_t first, int64_t count, float rate, float gradient_factor);

  OptimizerOptions options_;
  std::vector<Parameter<float>*> parameters_;
  ThreadPool* pool_;
  int64_t steps_ = 0;
  std::vector<AlignedBuffer<float>> first_, second_;
  std::vector<float> limits_;  // Of the columns of one parameter.
};

}  // namespace bitlm::trainer
