#include "trainer/optim/constant_dimensions.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <numeric>

#include "absl/strings/str_format.h"

namespace bitlm::trainer {

absl::StatusOr<ConstantDimensions> ConstantDimensions::Create(int count,
                                                              Network<FastBackend>* network) {
  ConstantDimensions dimensions;
  if (count == 0) return dimensions;
  Parameter<float>& table = network->output().table();
  const auto refuse = [](const std::string& why) {
    return absl::FailedPreconditionError("self_normalization.dimensions: " + why);
  };
  if (!table.binary() && !table.fitted()) return refuse("the model's output table is not binary");
  if (network->output_projection() == nullptr)
    return refuse("the model has no output_projection, which would learn to use them");
  if (count >= table.rows) {
    return refuse(absl::StrFormat("%d, the output table has %d", count, table.rows));
  }
  dimensions.table_ = &table;
  dimensions.count_ = count;
  return dimensions;
}

void ConstantDimensions::Fix() {
  if (count_ == 0) return;
  std::vector<int64_t> agreement(static_cast<size_t>(table_->rows));
  for (int64_t row = 0; row < table_->rows; ++row) {
    const float* values = table_->value.data() + row * table_->cols;
    const int64_t positive =
        std::count_if(values, values + table_->cols, [](float value) { return value > 0; });
    agreement[static_cast<size_t>(row)] = 2 * positive - table_->cols;
  }
  std::vector<int64_t> order(agreement.size());
  std::iota(order.begin(), order.end(), int64_t{0});
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return std::abs(agreement[static_cast<size_t>(a)]) >
           std::abs(agreement[static_cast<size_t>(b)]);
  });
  for (int i = 0; i < count_; ++i) {
    const int64_t row = order[static_cast<size_t>(i)];
    float* values = table_->value.data() + row * table_->cols;
    double magnitude = 0;
    for (int64_t word = 0; word < table_->cols; ++word)
      magnitude += std::fabs(static_cast<double>(values[word]));
    const auto mean = static_cast<float>(magnitude / static_cast<double>(table_->cols));
    std::fill(values, values + table_->cols,
              agreement[static_cast<size_t>(row)] >= 0 ? mean : -mean);
  }
}

void ConstantDimensions::Find() {
  for (int64_t row = 0; row < table_->rows; ++row) {
    const float* values = table_->value.data() + row * table_->cols;
    if (std::all_of(values, values + table_->cols, [&](float v) { return v == values[0]; }))
      rows_.push_back(row);
  }
}

void ConstantDimensions::MaskGradients(ThreadPool* pool) {
  if (count_ == 0) return;
  if (rows_.empty()) Find();
  pool->ParallelFor(rows_.size(), [&](size_t i) {
    std::fill_n(table_->gradient.data() + rows_[i] * table_->cols, table_->cols, 0.0f);
  });
}

}  // namespace bitlm::trainer
