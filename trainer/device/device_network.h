// DeviceNetwork: DeviceTrainer in terms of a device's loops and products (host_device.h says
// which).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "trainer/device/device_layout.h"
#include "trainer/device/device_lstm.h"
#include "trainer/device/device_masks.h"
#include "trainer/device/device_parameters.h"
#include "trainer/device/device_products.h"
#include "trainer/device/device_trainer.h"
#include "trainer/device/functors.h"
#include "trainer/device/softmax_functors.h"
#include "trainer/device/word_places.h"

namespace bitlm::trainer {

template <typename Device>
class DeviceNetwork final : public DeviceTrainer {
 public:
  using Half = typename Device::Half;
  template <typename T>
  using Buffer = typename Device::template Buffer<T>;

  // `trains` = more than Loss and what a teacher does.
  DeviceNetwork(std::shared_ptr<const Device> device, const DeviceModel& model,
                const DeviceOptions& options, bool trains = true)
      : device_(std::move(device)),
        model_(model),
        options_(options),
        rows_(model.streams * model.steps),
        masks_(model),
        placer_(model.vocabulary),
        layout_(model),
        parameters_(*device_, options, layout_.parameters, trains),
        products_(*device_, &parameters_, rows_) {
    output_factor_ = products_.Factor(layout_.table);
    const int64_t h = model.hidden, e = model.embedding, v = model.vocabulary;
    const auto floats = [&](int64_t cols) { return device_->template Make<float>(rows_ * cols); };
    const auto halves = [&](int64_t cols) { return device_->template Make<Half>(rows_ * cols); };
    for (const DeviceLstmLayer& at : layout_.lstm) {
      lstm_.push_back(std::make_unique<DeviceLstm<Device>>(*device_, model, at, &parameters_,
                                                           &products_, trains));
      for (auto& states : states_)
        states.push_back(device_->template Make<float>(2 * lstm_.back()->StateSize()));
    }
    if (layout_.input_projection.present()) embedded_ = halves(e);
    hidden_ = halves(h);
    if (layout_.output_projection.present()) z_ = halves(e);
    activations_ = floats(std::max(h, e));
    logits_ = floats(v);
    words_ = device_->template Make<int32_t>(6 * rows_ + 1);
    losses_ = device_->template Make<double>(rows_);
    loss_ = device_->template Make<double>(1);
    if (!trains) return;
    logit_gradient_ = halves(v);
    if (!model.tied) touched_ = device_->template Make<uint8_t>(v);
  }

  size_t parameters() const override { return parameters_.count(); }
  int64_t size(size_t parameter) const override { return parameters_.matrix(parameter).size(); }
  void Set(DeviceArray array, size_t parameter, std::span<const float> values) override {
    device_->Upload(values.data(), size(parameter), parameters_.At(array, parameter));
    packed_ = false;
  }
  void Get(DeviceArray array, size_t parameter, std::span<float> values) override {
    device_->Download(parameters_.At(array, parameter), size(parameter), values.data());
  }
  void SetOutputFactor(float factor) override { output_factor_ = factor; }
  void SetState(int layer, std::span<const float> h, std::span<const float> c) override {
    float* state = states_[kTraining][static_cast<size_t>(layer)].data();
    device_->Upload(h.data(), StateSize(), state);
    device_->Upload(c.data(), StateSize(), state + StateSize());
  }
  void GetState(int layer, std::span<float> h, std::span<float> c) override {
    const float* state = states_[kTraining][static_cast<size_t>(layer)].data();
    device_->Download(state, StateSize(), h.data());
    device_->Download(state + StateSize(), StateSize(), c.data());
  }

  DeviceTrainer* AddTeacher(const DeviceModel& model) override {
    if (teachers_.empty()) soft_ = device_->template Make<float>(rows_ * model_.vocabulary);
    teachers_.push_back(std::make_unique<DeviceNetwork>(device_, model, DeviceOptions{}, false));
    return teachers_.back().get();
  }

  DeviceLoss Step(const DeviceStep& step) override {
    UploadWords(*step.batch, /*places=*/true);
    for (size_t i = 0; i < teachers_.size(); ++i) Learn(*step.batch, i);
    const DropoutRates& dropout = options_.dropout;
    masks_.set_key(step.dropout_key);
    PackAll(DeviceArray::kValue, dropout);
    Forward(kTraining, DeviceArray::kValue, dropout);
    Softmax(DeviceArray::kValue, step.gradient_scale, logit_gradient_.data());
    Backward(step.gradient_scale);
    parameters_.Update(step, touched());
    DeviceLoss result;
    device_->Download(loss_.data(), 1, &result.loss);
    device_->Download(parameters_.squared_norm(), 1, &result.squared_norm);
    return result;
  }

  void StartEvaluation(bool averages) override {
    evaluated_ = averages ? DeviceArray::kAverage : DeviceArray::kValue;
    PackAll(evaluated_, {});
    for (auto& state : states_[kEvaluation]) device_->Clear(state.data(), 2 * StateSize());
  }

  double Loss(const Batch& batch) override {
    UploadWords(batch, /*places=*/false);
    Forward(kEvaluation, evaluated_, {});
    Softmax(evaluated_, 0, nullptr);
    double loss = 0;
    device_->Download(loss_.data(), 1, &loss);
    return loss;
  }

  std::string error() const override { return device_->error(); }

 private:
  enum Stream { kTraining = 0, kEvaluation = 1 };

  int64_t StateSize() const { return model_.streams * model_.hidden; }
  TableAt Table() const {
    return {.tied = model_.tied, .vocabulary = model_.vocabulary, .size = model_.embedding};
  }
  ColumnScale EmbeddingScale(DeviceArray array) {
    return products_.Scale(layout_.embedding, layout_.embedding_gamma, array);
  }

  // inputs, targets, resets, [rows] each; with `places` also places, distinct and first.
  void UploadWords(const Batch& batch, bool places) {
    words_host_.assign(batch.inputs.begin(), batch.inputs.end());
    words_host_.insert(words_host_.end(), batch.targets.begin(), batch.targets.end());
    words_host_.insert(words_host_.end(), batch.resets.begin(), batch.resets.end());
    if (places) {
      const WordPlaces& at = placer_.Place(batch.inputs);
      distinct_ = static_cast<int64_t>(at.distinct.size());
      words_host_.insert(words_host_.end(), at.places.begin(), at.places.end());
      words_host_.insert(words_host_.end(), at.distinct.begin(), at.distinct.end());
      words_host_.insert(words_host_.end(), at.first.begin(), at.first.end());
    }
    device_->Upload(words_host_.data(), static_cast<int64_t>(words_host_.size()), words_.data());
  }
  const int32_t* inputs() { return words_.data(); }
  const int32_t* targets() { return words_.data() + rows_; }
  const int32_t* resets() { return words_.data() + 2 * rows_; }
  const int32_t* places() { return words_.data() + 3 * rows_; }
  uint8_t* touched() { return model_.tied ? nullptr : touched_.data(); }

  void PackAll(DeviceArray array, const DropoutRates& dropout) {
    packed_ = false;
    for (size_t layer = 0; layer < lstm_.size(); ++layer)
      lstm_[layer]->Pack(array, masks_.Lstm(dropout, layer));
    for (const DeviceLinearLayer& layer : {layout_.input_projection, layout_.output_projection}) {
      if (layer.present()) parameters_.Pack(layer.weight, array);
    }
    parameters_.Pack(layout_.table, array);
    // Words' vectors are taken from values, but by the levels of a fit.
    if (!model_.tied && parameters_.levels(layout_.embedding) != nullptr)
      parameters_.Pack(layout_.embedding, array);
  }

  // Teacher `index`'s next words become soft targets, or a part of them.
  void Learn(const Batch& batch, size_t index) {
    DeviceNetwork& teacher = *teachers_[index];
    teacher.UploadWords(batch, /*places=*/false);
    if (!teacher.packed_) teacher.PackAll(DeviceArray::kValue, {});
    teacher.packed_ = true;
    teacher.Forward(kTraining, DeviceArray::kValue, {});
    device_->EachRow(
        rows_, AddSoftTargets{.logits = teacher.Logits(DeviceArray::kValue),
                              .temperature = static_cast<float>(options_.distillation_temperature),
                              .share = 1.0f / static_cast<float>(teachers_.size()),
                              .first = index == 0,
                              .soft = soft_.data()});
  }

  void Forward(Stream stream, DeviceArray array, const DropoutRates& dropout) {
    const int64_t h = model_.hidden;
    const bool projected = layout_.input_projection.present();
    const auto words = [&](const DeviceMask& input_mask, Half* x) {
      device_->Each(rows_ * model_.embedding,
                    EmbedWords<Half>{.table = parameters_.At(array, layout_.embedding),
                                     .at = Table(),
                                     .signs = parameters_.matrix(layout_.embedding).alpha > 0,
                                     .scale = EmbeddingScale(array),
                                     .levels = parameters_.levels(layout_.embedding),
                                     .words = inputs(),
                                     .word_mask = masks_.Words(dropout),
                                     .input_mask = input_mask,
                                     .x = x});
    };
    if (projected) {
      words({}, embedded_.data());
      products_.LinearForward(layout_.input_projection, embedded_.data(), array,
                              masks_.Input(dropout, 0), activations_.data(), lstm_[0]->x());
    } else {
      words(masks_.Input(dropout, 0), lstm_[0]->x());
    }
    for (size_t layer = 0; layer < lstm_.size(); ++layer) {
      lstm_[layer]->Forward(array, resets(), masks_.Lstm(dropout, layer),
                            states_[stream][layer].data());
      const bool last = layer + 1 == lstm_.size();
      device_->Each(rows_ * h,
                    CastActivations<Half>{
                        .from = lstm_[layer]->h(),
                        .scale = {},
                        .bias = nullptr,
                        .cols = h,
                        .mask = last ? masks_.Output(dropout) : masks_.Input(dropout, layer + 1),
                        .to = last ? hidden_.data() : lstm_[layer + 1]->x()});
    }
    if (!layout_.output_projection.present()) return;
    products_.LinearForward(layout_.output_projection, hidden_.data(), array,
                            masks_.Projection(dropout), activations_.data(), z_.data());
  }

  const Half* Z() { return layout_.output_projection.present() ? z_.data() : hidden_.data(); }

  DeviceLogits Logits(DeviceArray array) {
    products_.Forward(rows_, Z(), layout_.table, logits_.data(), /*accumulate=*/false,
                      output_factor_);
    return {.products = logits_.data(),
            .bias = model_.output_bias ? parameters_.At(array, layout_.output_bias) : nullptr,
            .vocabulary = model_.vocabulary};
  }

  // `gradient` of the logits; null = the loss alone, without teachers.
  void Softmax(DeviceArray array, float gradient_scale, Half* gradient) {
    device_->EachRow(
        rows_,
        SoftmaxRow<Half>{.logits = Logits(array),
                         .targets = targets(),
                         .soft = teachers_.empty() ? nullptr : soft_.data(),
                         .soft_weight = static_cast<float>(options_.distillation_weight),
                         .temperature = static_cast<float>(options_.distillation_temperature),
                         .gradient_scale = gradient_scale,
                         .gradient = gradient,
                         .losses = losses_.data()});
    device_->EachRow(
        1, SumPiece<double, false>{
               .values = losses_.data(), .count = rows_, .size = rows_, .sums = loss_.data()});
  }

  void Backward(float gradient_scale) {
    const int64_t h = model_.hidden;
    const DropoutRates& dropout = options_.dropout;
    float* gradient = activations_.data();
    products_.MatrixGradient(layout_.table, Z(), logit_gradient_.data());
    if (model_.output_bias) products_.BiasGradient(layout_.output_bias, logit_gradient_.data());
    products_.Backward(rows_, logit_gradient_.data(), layout_.table, gradient, output_factor_);
    if (layout_.output_projection.present()) {
      products_.LinearBackward(layout_.output_projection, hidden_.data(),
                               masks_.Projection(dropout), z_.data(), gradient);
    }
    const auto penalty = [&](double weight) {
      return static_cast<float>(2 * weight / static_cast<double>(h)) * gradient_scale;
    };
    device_->Each(rows_ * h,
                  HiddenGradient{.rows = rows_,
                                 .streams = model_.streams,
                                 .hidden = h,
                                 .h = lstm_.back()->h(),
                                 .targets = targets(),
                                 .resets = resets(),
                                 .mask = masks_.Output(dropout),
                                 .activation = penalty(options_.regularization.activation),
                                 .temporal = penalty(options_.regularization.temporal),
                                 .gradient = gradient});
    for (size_t layer = lstm_.size(); layer-- > 0;) {
      lstm_[layer]->Backward(resets(), masks_.Lstm(dropout, layer), gradient);
      if (layer == 0) break;
      device_->Each(rows_ * h, DropActivations{
                                   .cols = h, .mask = masks_.Input(dropout, layer), .x = gradient});
    }
    DeviceMask input_mask = masks_.Input(dropout, 0);
    if (layout_.input_projection.present()) {
      products_.LinearBackward(layout_.input_projection, embedded_.data(), input_mask,
                               lstm_[0]->x(), gradient);
      input_mask = {};
    }
    BackwardEmbedding(input_mask, gradient);
  }

  // From the gradient of the words' vectors, behind `input_mask`.
  void BackwardEmbedding(const DeviceMask& input_mask, const float* gradient) {
    const DropoutRates& dropout = options_.dropout;
    const ColumnScale scale = EmbeddingScale(DeviceArray::kValue);
    if (!model_.tied) {
      device_->Clear(parameters_.gradient(layout_.embedding), size(layout_.embedding));
      device_->Clear(touched_.data(), model_.vocabulary);
    }
    device_->Each(distinct_ * model_.embedding,
                  EmbeddingGradient{.x_gradient = gradient,
                                    .at = Table(),
                                    .distinct = places() + rows_,
                                    .first = places() + rows_ + distinct_,
                                    .places = places(),
                                    .scale = scale,
                                    .word_mask = masks_.Words(dropout),
                                    .input_mask = input_mask,
                                    .gradient = parameters_.gradient(layout_.embedding),
                                    .touched = touched()});
    if (layout_.embedding_gamma == kNoParameter) return;
    // The losses have been summed: their place is free.
    device_->EachRow(
        rows_, EmbeddingGammaRow{.x_gradient = gradient,
                                 .table = parameters_.At(DeviceArray::kValue, layout_.embedding),
                                 .at = Table(),
                                 .scale = scale,
                                 .words = inputs(),
                                 .word_mask = masks_.Words(dropout),
                                 .input_mask = input_mask,
                                 .sums = losses_.data()});
    device_->EachRow(
        1, SumPiece<double, false, float>{.values = losses_.data(),
                                          .count = rows_,
                                          .size = rows_,
                                          .sums = parameters_.gradient(layout_.embedding_gamma)});
  }

  std::shared_ptr<const Device> device_;
  DeviceModel model_;
  DeviceOptions options_;
  int64_t rows_;
  DeviceMasks masks_;
  WordPlacer placer_;
  DeviceLayout layout_;
  DeviceParameters<Device> parameters_;
  DeviceProducts<Device> products_;
  std::vector<std::unique_ptr<DeviceLstm<Device>>> lstm_;
  std::vector<Buffer<float>> states_[2];  // By layer: h, then c, that the next segment begins with.
  Buffer<Half> embedded_;                 // [rows, E] in front of an input projection.
  Buffer<Half> hidden_;                   // The last layer's output, after dropout.
  Buffer<Half> z_;                        // [rows, E] behind an output projection.
  Buffer<float> activations_;             // [rows, max(E, H)]: products; gradients on the way back.
  Buffer<float> logits_;                  // [rows, V]
  Buffer<Half> logit_gradient_;
  Buffer<double> losses_, loss_;
  Buffer<int32_t> words_;
  Buffer<uint8_t> touched_;  // [V] of an untied embedding.
  std::vector<int32_t> words_host_;
  int64_t distinct_ = 0;
  float output_factor_ = 1;
  DeviceArray evaluated_ = DeviceArray::kValue;
  bool packed_ = false;  // A teacher's operands are of its values.
  std::vector<std::unique_ptr<DeviceNetwork>> teachers_;
  Buffer<float> soft_;  // [rows, V] their mean distribution.
};

}  // namespace bitlm::trainer
