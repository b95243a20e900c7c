// What a network is trained with, beside its ModelConfig.
#pragma once

#include <cstdint>

#include "trainer/layers/activation_regularization.h"

namespace bitlm::trainer {

// Words are sampled by tiles of the output layer.
inline constexpr int64_t kSampleUnit = 1024;

struct NetworkShape {
  int64_t streams = 64;  // B
  int64_t steps = 35;    // T
  // Words of a sampled softmax (sampled_output.h), a multiple of kSampleUnit; 0, and as many as the
  // vocabulary or more = no sampling.
  int64_t softmax_samples = 0;
  // Scales of binary matrices are fitted to their latent values (planes.h) instead of learned. With
  // several planes they always are.
  bool fitted_scales = false;
  // Biases of LSTM layers are signs with one scale each ([ZT] section 3.1); needs binary matrices
  // with a scale per matrix.
  bool binary_bias = false;
};

struct DropoutRates {
  double input = 0;          // Of the first LSTM layer's input.
  double hidden = 0;         // Between LSTM layers.
  double output = 0;         // Of the last LSTM layer's output.
  double words = 0;          // Of whole words of the input.
  double projection = 0;     // Of the output projection's output.
  double recurrent = 0;      // Of the weights of W_h (DropConnect).
  double state = 0;          // Of the h_{t-1} that W_h multiplies, one mask for a segment.
  bool variational = false;  // One mask for all steps of a segment (Gal and Ghahramani 2016).
};

// Numbers of a step's random choices, which its key is combined with: inputs and outputs of LSTM
// layers from 0; masks of a layer have its number added.
inline constexpr uint64_t kWordMask = 1000, kRecurrentMask = 2000, kSoftmaxSample = 3000,
                          kStateMask = 4000, kProjectionMask = 5000;

// What the gradients are of besides the cross entropy; 0 = without.
struct Penalties {
  ActivationRegularization activations;
  // Of (log Z)^2, see OutputLayer::set_self_normalization; of networks that are self_normalized.
  double self_normalization = 0;
};

}  // namespace bitlm::trainer
