#include "trainer/optim/weight_average.h"

#include <algorithm>
#include <utility>

#include "trainer/tensor/math.h"

namespace bitlm::trainer {
namespace {

constexpr int64_t kPiece = 1 << 16;  // Values that one task updates.

BITLM_CLONES void MoveTowards(const float* __restrict value, float share, int64_t n,
                              float* __restrict average) {
  for (int64_t i = 0; i < n; ++i) average[i] += share * (value[i] - average[i]);
}

}  // namespace

WeightAverage::WeightAverage(double decay, std::vector<Parameter<float>*> parameters,
                             ThreadPool* pool)
    : decay_(decay), parameters_(std::move(parameters)), pool_(pool) {
  for (const Parameter<float>* parameter : parameters_) {
    averages_.emplace_back(static_cast<size_t>(parameter->size()));
  }
}

float WeightAverage::CountUpdate() {
  ++updates_;
  return static_cast<float>(std::max(1 - decay_, 1.0 / static_cast<double>(updates_)));
}

void WeightAverage::Update() {
  const float share = CountUpdate();
  for (size_t p = 0; p < parameters_.size(); ++p) {
    const int64_t size = parameters_[p]->size();
    pool_->ParallelFor(static_cast<size_t>((size + kPiece - 1) / kPiece), [&](size_t piece) {
      const int64_t first = static_cast<int64_t>(piece) * kPiece;
      MoveTowards(parameters_[p]->value.data() + first, share, std::min(kPiece, size - first),
                  averages_[p].data() + first);
    });
  }
}

void WeightAverage::Exchange() {
  for (size_t p = 0; p < parameters_.size(); ++p) std::swap(parameters_[p]->value, averages_[p]);
}

}  // namespace bitlm::trainer
