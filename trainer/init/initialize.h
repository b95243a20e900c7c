// The random parameters that training starts from.
#pragma once

#include <cstdint>

#include "trainer/layers/network.h"
#include "trainer/tensor/fast_backend.h"

namespace bitlm::trainer {

struct InitialValues {
  // Float matrices uniform in [-x, x]; 0 = N(0, sqrt(1/H)) as [LCY18] section 3.2. Latent binary
  // matrices always the latter.
  double uniform = 0;
  double forget_bias = 0;
  // Gamma of a binary projection. Binary embeddings are small (1 / sqrt(H)): exp(gamma) brings what
  // follows to a useful size. A float projection starts from its random weights times exp(gamma).
  // Without an input projection gamma_input is the binary input table's.
  double gamma_input = 0;
  double gamma_output = 0;
  // Of the norms of the gates' products.
  double gain = 1;
};

void InitializeAtRandom(const InitialValues& values, uint64_t seed, Network<FastBackend>* network);

}  // namespace bitlm::trainer
