// The norms of an LSTM layer from a trained model.
#pragma once

#include <string>
#include <vector>

#include "engine/base/thread_pool.h"
#include "engine/model/model.h"
#include "trainer/init/moments.h"
#include "trainer/layers/lstm.h"
#include "trainer/tensor/fast_backend.h"

namespace bitlm::trainer {

// What a layer's matrices were in the model, [inputs, 4H] and [H, 4H], scales multiplied in; and
// the second moments and means of their inputs there, null: not known.
struct LstmSource {
  const std::vector<float>* x = nullptr;
  const std::vector<float>* h = nullptr;
  const std::vector<float>* moments = nullptr;  // As in InputMoments, of this layer.
  const std::vector<float>* means = nullptr;
};

// Sets the parameters of `lstm`'s norm, which exists, and adds to its bias, which has been set,
// what a batch norm takes off: `name` is that of the layer in the model. From a model without norm
// a batch norm gets gains with which it keeps the products' distribution: their means and standard
// deviations. With the inputs known, a batch norm's gains are relative to statistics of its own, so
// that training can go on; otherwise only evaluation computes what the model did.
// The layer's matrices have been set.
void SetNormFromModel(const Model& model, const std::string& name, const LstmSource& source,
                      ThreadPool* pool, LstmLayer<FastBackend>* lstm);

}  // namespace bitlm::trainer
