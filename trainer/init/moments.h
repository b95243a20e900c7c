// What a network's matrices multiply: second moments of their inputs, so that what replaces a
// matrix can be fitted to its products.
#pragma once

#include <vector>

#include "trainer/data/batcher.h"
#include "trainer/layers/network.h"
#include "trainer/tensor/fast_backend.h"

namespace bitlm::trainer {

struct InputMoments {
  // By LSTM layer: the mean of u^T u, u = [x_t, h_{t-1}]: [I + H, I + H].
  std::vector<std::vector<float>> lstm;
  // By LSTM layer: the mean of u: [I + H].
  std::vector<std::vector<float>> lstm_mean;
  // The mean of h_t^T h_t of the last layer: [H, H].
  std::vector<float> output;
  // Of what the output table multiplies, z_t: its mean [E], and the mean of d^T d of the
  // differences d from it: [E, E].
  std::vector<float> z_mean, z;
};

// Over the first `segments` segments of `batcher`, without dropout. `network` has been packed.
InputMoments MeasureMoments(Batcher& batcher, int64_t segments, ThreadPool* pool,
                            Network<FastBackend>* network);

}  // namespace bitlm::trainer
