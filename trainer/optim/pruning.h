// Pruning by magnitude with fine-tuning (Han et al. 2015, arXiv:1510.00149, section 2), which
// [LCY18] section 4.2 compares binarization with.
#pragma once

#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "trainer/layers/network.h"
#include "trainer/tensor/fast_backend.h"

namespace bitlm::trainer {

// Parts of the weights of each matrix, in [0, 1).
struct PruningRates {
  double embedding = 0;  // Of the input and the output table.
  double recurrent = 0;  // Of W_x and W_h of every LSTM layer.
};

// Keeps the weights at 0 that are 0: no mask is stored, a checkpoint's weights are the mask. (A
// weight that training brings to exactly 0 is lost, too; that is so rare that it does not matter.)
class Pruning {
 public:
  Pruning() = default;
  // Of the matrices with a rate above 0. Errors: FAILED_PRECONDITION naming a rate whose matrices
  // are not float.
  static absl::StatusOr<Pruning> Create(const PruningRates& rates, Network<FastBackend>* network);

  // Sets the weights of the least magnitude to 0 in each matrix, so many that its rate is reached;
  // of equal ones those that come first.
  void Prune();
  // Before an optimizer's step: weights that are 0 get no gradient, so that neither a step nor the
  // gradients' norm knows them.
  void MaskGradients(ThreadPool* pool);

 private:
  struct Matrix {
    Parameter<float>* parameter;
    double rate;
  };
  std::vector<Matrix> matrices_;
};

}  // namespace bitlm::trainer
