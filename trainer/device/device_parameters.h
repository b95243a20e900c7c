// The parameters of a DeviceModel in a device's memory, one after the other, and their update.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "trainer/device/device_layout.h"
#include "trainer/device/device_trainer.h"
#include "trainer/device/functors.h"
#include "trainer/device/plane_functors.h"
#include "trainer/device/update_functor.h"

namespace bitlm::trainer {

template <typename Device>
class DeviceParameters {
 public:
  using Half = typename Device::Half;

  // `trains` = Update will be called.
  DeviceParameters(const Device& device, const DeviceOptions& options,
                   std::vector<DeviceParameter> matrices, bool trains)
      : device_(device), options_(options), matrices_(std::move(matrices)) {
    constexpr int64_t kAlign = 64;  // Values; what products like.
    for (DeviceParameter& matrix : matrices_) {
      matrix.offset = total_;
      total_ += (matrix.size() + kAlign - 1) / kAlign * kAlign;
    }
    for (const DeviceParameter& matrix : matrices_) {
      levels_.push_back(device.template Make<PlaneLevels<float>>(matrix.planes == 0 ? 0
                                                                 : matrix.by_column ? matrix.cols
                                                                                    : 1));
    }
    values_ = device.template Make<float>(total_);
    operands_ = device.template Make<Half>(total_);
    if (!trains) return;
    gradients_ = device.template Make<float>(total_);
    if (options.optimizer.kind == OptimizerKind::kAdam) {
      first_ = device.template Make<float>(total_);
      second_ = device.template Make<float>(total_);
    }
    if (options.averages) averages_ = device.template Make<float>(total_);
    partial_norms_ = device.template Make<double>(Pieces());
    squared_norm_ = device.template Make<double>(1);
  }

  size_t count() const { return matrices_.size(); }
  const DeviceParameter& matrix(size_t parameter) const { return matrices_[parameter]; }

  float* At(DeviceArray array, size_t parameter) {
    return Base(array) + matrices_[parameter].offset;
  }
  float* gradient(size_t parameter) { return At(DeviceArray::kGradient, parameter); }
  Half* operand(size_t parameter) { return operands_.data() + matrices_[parameter].offset; }

  // The levels of a matrix with fitted scales as of its last Pack; null of another.
  const PlaneLevels<float>* levels(size_t parameter) {
    return matrices_[parameter].planes > 0 ? levels_[parameter].data() : nullptr;
  }

  // The operand of a matrix from values or averages, with DropConnect; a table has none.
  void Pack(size_t parameter, DeviceArray array, const DeviceMask& mask = {}) {
    const DeviceParameter& m = matrices_[parameter];
    if (m.planes > 0) {
      m.by_column ? FitTogether(array, {parameter, kNoParameter}, {mask, {}})
                  : FitTableOf(parameter, array);
      return;
    }
    device_.Each(m.size(), CastMatrix<Half>{.from = At(array, parameter),
                                            .to = operand(parameter),
                                            .cols = m.cols,
                                            .signs = m.alpha > 0,
                                            .mask = mask});
  }

  // Of two matrices over each other, which share scales that are fitted, if they are.
  void PackTogether(size_t first, size_t second, DeviceArray array, const DeviceMask& second_mask) {
    if (matrices_[first].planes > 0) {
      FitTogether(array, {first, second}, {DeviceMask{}, second_mask});
      device_.Copy(levels_[first].data(), matrices_[first].cols, levels_[second].data());
      return;
    }
    Pack(first, array);
    Pack(second, array, second_mask);
  }

  // Of all gradients, on the device, as of the last Update.
  const double* squared_norm() { return squared_norm_.data(); }

  // `touched`: rows of the sparse parameter.
  void Update(const DeviceStep& step, const uint8_t* touched) {
    device_.EachRow(Pieces(), SumPiece<float, true>{.values = gradients_.data(),
                                                    .count = total_,
                                                    .size = kPiece,
                                                    .sums = partial_norms_.data()});
    device_.EachRow(1, SumPiece<double, false>{.values = partial_norms_.data(),
                                               .count = Pieces(),
                                               .size = Pieces(),
                                               .sums = squared_norm_.data()});
    const OptimizerOptions& o = options_.optimizer;
    const bool adam = o.kind == OptimizerKind::kAdam;
    const auto number = static_cast<double>(step.number);
    const auto corrected1 = static_cast<float>(1.0 - std::pow(o.beta1, number));
    const auto corrected2 = static_cast<float>(1.0 / (1.0 - std::pow(o.beta2, number)));
    for (size_t parameter = 0; parameter < count(); ++parameter) {
      const DeviceParameter& m = matrices_[parameter];
      const bool latent = m.latent();
      const bool decays = !latent && m.rows > 1;
      const float rate =
          step.learning_rate * (latent ? static_cast<float>(o.latent_lr_scale) : 1.0f);
      const auto of = [&](DeviceArray array) { return At(array, parameter); };
      device_.Each(
          m.size(),
          UpdateParameter{.adam = adam,
                          .rate = adam ? rate / corrected1 : rate,
                          .decay = decays ? 1.0f - rate * static_cast<float>(o.weight_decay) : 1.0f,
                          .l2 = decays ? static_cast<float>(o.l2) : 0.0f,
                          .limit = m.alpha,
                          .levels = levels(parameter),
                          .by_column = m.by_column,
                          .beta1 = static_cast<float>(o.beta1),
                          .beta2 = static_cast<float>(o.beta2),
                          .epsilon = static_cast<float>(o.epsilon),
                          .second_correction = corrected2,
                          .clip_norm = o.clip_norm,
                          .squared_norm = squared_norm_.data(),
                          .cols = m.cols,
                          .touched = m.sparse ? touched : nullptr,
                          .average_share = step.average_share,
                          .gradient = of(DeviceArray::kGradient),
                          .value = of(DeviceArray::kValue),
                          .first = adam ? of(DeviceArray::kFirstMoment) : nullptr,
                          .second = adam ? of(DeviceArray::kSecondMoment) : nullptr,
                          .average = options_.averages ? of(DeviceArray::kAverage) : nullptr});
    }
  }

 private:
  static constexpr int64_t kPiece = 1 << 15;

  void FitTogether(DeviceArray array, const std::array<size_t, 2>& of,
                   const std::array<DeviceMask, 2>& masks) {
    const DeviceParameter& m = matrices_[of[0]];
    FitColumn<Half> fit{.value = {nullptr, nullptr},
                        .operand = {nullptr, nullptr},
                        .rows = {0, 0},
                        .mask = {masks[0], masks[1]},
                        .cols = m.cols,
                        .planes = m.planes,
                        .levels = levels_[of[0]].data()};
    for (size_t i = 0; i < 2; ++i) {
      if (of[i] == kNoParameter) continue;
      fit.value[i] = At(array, of[i]);
      fit.operand[i] = operand(of[i]);
      fit.rows[i] = matrices_[of[i]].rows;
    }
    device_.EachRow(m.cols, fit);
  }
  void FitTableOf(size_t parameter, DeviceArray array) {
    const DeviceParameter& m = matrices_[parameter];
    constexpr int64_t kParts = 128;
    if (table_fit_.data() == nullptr) {
      table_fit_ = device_.template Make<TableFit>(1);
      table_sums_ = device_.template Make<PlaneSums>(kParts);
    }
    for (int pass = 0; pass < PlaneFit::Passes(m.planes); ++pass) {
      device_.EachRow(kParts, SumTablePart{.value = At(array, parameter),
                                           .rows = m.rows,
                                           .cols = m.cols,
                                           .step = std::max<int64_t>(1, m.size() / kTableSample),
                                           .parts = kParts,
                                           .planes = m.planes,
                                           .pass = pass,
                                           .table = table_fit_.data(),
                                           .sums = table_sums_.data()});
      device_.EachRow(1, TakeTablePass{.sums = table_sums_.data(),
                                       .parts = kParts,
                                       .planes = m.planes,
                                       .pass = pass,
                                       .table = table_fit_.data()});
    }
    device_.Copy(&table_fit_.data()->levels, 1, levels_[parameter].data());
    device_.Each(m.size(), TakeLevels<Half>{.from = At(array, parameter),
                                            .levels = levels_[parameter].data(),
                                            .to = operand(parameter)});
  }

  int64_t Pieces() const { return (total_ + kPiece - 1) / kPiece; }
  float* Base(DeviceArray array) {
    switch (array) {
      case DeviceArray::kValue:
        return values_.data();
      case DeviceArray::kGradient:
        return gradients_.data();
      case DeviceArray::kFirstMoment:
        return first_.data();
      case DeviceArray::kSecondMoment:
        return second_.data();
      case DeviceArray::kAverage:
        break;
    }
    return averages_.data();
  }

  const Device& device_;
  DeviceOptions options_;
  std::vector<DeviceParameter> matrices_;
  int64_t total_ = 0;
  typename Device::template Buffer<float> values_, gradients_, first_, second_, averages_;
  typename Device::template Buffer<Half> operands_;
  std::vector<typename Device::template Buffer<PlaneLevels<float>>> levels_;
  typename Device::template Buffer<TableFit> table_fit_;
  typename Device::template Buffer<PlaneSums> table_sums_;
  typename Device::template Buffer<double> partial_norms_, squared_norm_;
};

}  // namespace bitlm::trainer
