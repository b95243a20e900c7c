#include "trainer/export/copy_model.h"

#include <algorithm>
#include <utility>

namespace bitlm::trainer {

Model CopyModel(const Model& model) {
  Model result{.config = model.config,
               .metadata = model.metadata,
               .vocabulary = model.vocabulary,
               .tensors = {},
               .golden = {}};
  result.metadata.valid_perplexity = 0;
  for (const auto& [name, tensor] : model.tensors) {
    Tensor copy = MakeTensor(tensor.dtype, tensor.shape);
    std::copy(tensor.bytes.begin(), tensor.bytes.end(), copy.bytes.begin());
    result.tensors.emplace(name, std::move(copy));
  }
  return result;
}

}  // namespace bitlm::trainer
