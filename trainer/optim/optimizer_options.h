// What an optimizer's steps are made with.
#pragma once

namespace bitlm::trainer {

enum class OptimizerKind { kSgd, kAdam };

struct OptimizerOptions {
  OptimizerKind kind = OptimizerKind::kSgd;
  double clip_norm = 5;  // Gradients are scaled down to this joint 2-norm; 0 = not.
  // Whether latent binary weights are among the parameters whose gradients clip_norm measures and
  // scales; Hou et al. 2019 clip only the others.
  bool clip_latent = true;
  double beta1 = 0.9;  // Adam (Kingma and Ba 2015); 0 (Melis et al. 2018): no momentum.
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0;  // Decoupled (Loshchilov and Hutter 2019), float matrices only.
  // L2 penalty l2 / 2 * |w|^2 of float matrices, in the unit of the loss, whose gradient goes the
  // way of the others, after clipping. Adam makes it strong where gradients are rare or small, as
  // in the table's rows of rare words.
  double l2 = 0;
  double latent_lr_scale =
      1;  // Learning rate of latent binary weights, as a multiple (Hou et al. 2019: 2 sqrt(H)).
};

}  // namespace bitlm::trainer
