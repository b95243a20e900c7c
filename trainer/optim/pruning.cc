#include "trainer/optim/pruning.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>

#include "absl/strings/str_format.h"

namespace bitlm::trainer {
namespace {

// gradient[i] = 0 where value[i] is.
void Mask(const float* value, int64_t n, float* gradient) {
  for (int64_t i = 0; i < n; ++i) gradient[i] = value[i] == 0 ? 0 : gradient[i];
}

}  // namespace

absl::StatusOr<Pruning> Pruning::Create(const PruningRates& rates, Network<FastBackend>* network) {
  Pruning pruning;
  const auto add = [&](Parameter<float>& parameter, double rate) {
    if (rate > 0) pruning.matrices_.push_back({.parameter = &parameter, .rate = rate});
  };
  if (!network->embedding().tied()) add(network->embedding().table(), rates.embedding);
  add(network->output().table(), rates.embedding);
  const size_t tables = pruning.matrices_.size();
  for (auto& layer : network->lstm()) {
    add(layer->weight_x().parameter, rates.recurrent);
    add(layer->weight_h().parameter, rates.recurrent);
  }
  for (size_t i = 0; i < pruning.matrices_.size(); ++i) {
    if (!pruning.matrices_[i].parameter->binarized()) continue;
    return absl::FailedPreconditionError(absl::StrFormat(
        "pruning.%s: the model's %s is binary, expected float",
        i < tables ? "embedding" : "recurrent", pruning.matrices_[i].parameter->name));
  }
  return pruning;
}

void Pruning::Prune() {
  for (const auto& [parameter, rate] : matrices_) {
    const auto& values = parameter->value;
    std::vector<size_t> order(values.size());
    std::iota(order.begin(), order.end(), size_t{0});
    const auto count = static_cast<size_t>(std::llround(rate * static_cast<double>(values.size())));
    const auto smaller = [&](size_t a, size_t b) {
      const float x = std::fabs(values[a]), y = std::fabs(values[b]);
      return x != y ? x < y : a < b;
    };
    std::nth_element(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(count), order.end(),
                     smaller);
    for (size_t i = 0; i < count; ++i) parameter->value[order[i]] = 0;
  }
}

void Pruning::MaskGradients(ThreadPool* pool) {
  for (const Matrix& matrix : matrices_) {
    Parameter<float>& p = *matrix.parameter;
    const auto mask = [&](int64_t row) {
      Mask(p.value.data() + row * p.cols, p.cols, p.gradient.data() + row * p.cols);
    };
    if (p.sparse) {
      pool->ParallelFor(p.touched_rows.size(), [&](size_t i) { mask(p.touched_rows[i]); });
    } else {
      pool->ParallelFor(static_cast<size_t>(p.rows),
                        [&](size_t row) { mask(static_cast<int64_t>(row)); });
    }
  }
}

}  // namespace bitlm::trainer
