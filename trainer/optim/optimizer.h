// Optimizers: SGD, Adam and NovoGrad, with gradient clipping, for float and latent binary
// parameters.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "engine/base/thread_pool.h"
#include "trainer/layers/parameter.h"

namespace bitlm::trainer {

enum class OptimizerKind {
  kSgd,
  kAdam,
  // Ginsburg et al. 2019 (arXiv:1905.11286), in the form of Adam: one second moment a parameter,
  // the mean square of its gradient. Rare words keep their small steps, as with SGD, and matrices
  // of different scales learn alike, as with Adam.
  kNovograd,
};

struct OptimizerOptions {
  OptimizerKind kind = OptimizerKind::kSgd;
  double clip_norm =
      5;  // Gradients are scaled down to this joint 2-norm; 0 = not. Over all parameters.
  bool clip_latent = true;  // Whether latent binary weights are among those parameters; if not,
                            // they are not scaled, either (Hou et al. 2019).
  double beta1 = 0.9;       // Adam (Kingma and Ba 2015).
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0;  // Decoupled (Loshchilov and Hutter 2019), float parameters only.
  double latent_lr_scale =
      1;  // Learning rate of latent binary weights, as a multiple (Hou et al. 2019: 2 sqrt(H)).
};

// Owns the moments of a fixed list of parameters. Latent binary weights are clamped to [-alpha,
// alpha] after every update ([LCY18] Algorithm 2, line 6). Sparse parameters are updated in their
// touched rows only, moments included (lazy Adam).
class Optimizer {
 public:
  Optimizer(const OptimizerOptions& options, std::vector<Parameter<float>*> parameters,
            ThreadPool* pool);

  // One update with the parameters' gradients, which it does not clear. Errors: INTERNAL, with
  // nothing changed, when the gradients are not finite.
  absl::Status Step(double learning_rate);

  // For checkpoints: updates done, and the moments in the order of the parameters (empty for SGD).
  // A second moment of NovoGrad is one value.
  int64_t steps() const { return steps_; }
  void set_steps(int64_t steps) { steps_ = steps; }
  std::vector<AlignedBuffer<float>>& first_moments() { return first_; }
  std::vector<AlignedBuffer<float>>& second_moments() { return second_; }

 private:
  bool Clipped(const Parameter<float>& parameter) const {
    return options_.clip_latent || !parameter.binary();
  }
  // The joint norm of what is clipped; `mean_squares` gets one value a parameter, of all.
  double GradientNorm(std::vector<double>* mean_squares) const;
  // NovoGrad's second moments, after the gradients are known.
  void UpdateMeanSquares(const std::vector<double>& mean_squares, double gradient_factor);
  void Update(size_t index, int64_t first, int64_t count, float rate, float gradient_factor);

  OptimizerOptions options_;
  std::vector<Parameter<float>*> parameters_;
  ThreadPool* pool_;
  int64_t steps_ = 0;
  std::vector<float> inverse_rms_;  // NovoGrad, this step: of each parameter's gradient.
  std::vector<AlignedBuffer<float>> first_, second_;
};

}  // namespace bitlm::trainer
