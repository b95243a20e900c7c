// DeviceNetwork: DeviceTrainer in terms of a device's loops and products (host_device.h says
// which).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "trainer/device/device_parameters.h"
#include "trainer/device/device_trainer.h"
#include "trainer/device/functors.h"
#include "trainer/device/host_device.h"
#include "trainer/device/word_places.h"

namespace bitlm::trainer {

// Numbers of the dropout masks of a step, as Network has them: inputs and outputs of LSTM layers
// from 0.
struct DeviceMasks {
  static constexpr uint64_t kWords = 1000, kRecurrent = 2000, kState = 4000, kProjection = 5000;
};

template <typename Device>
class DeviceNetwork final : public DeviceTrainer {
 public:
  using Half = typename Device::Half;
  template <typename T>
  using Buffer = typename Device::template Buffer<T>;

  DeviceNetwork(std::unique_ptr<Device> device, const DeviceModel& model,
                const DeviceOptions& options)
      : device_(std::move(device)),
        model_(model),
        options_(options),
        rows_(model.streams * model.steps),
        placer_(model.vocabulary),
        parameters_(*device_, options, Matrices()) {
    const int64_t h = model.hidden;
    const auto floats = [&](int64_t cols) { return device_->template Make<float>(rows_ * cols); };
    const auto halves = [&](int64_t cols) { return device_->template Make<Half>(rows_ * cols); };
    for (int layer = 0; layer < model.layers; ++layer) {
      const int64_t state = model.streams * h;
      layers_.push_back({.inputs = Inputs(layer),
                         .x = halves(Inputs(layer)),
                         .h_in = halves(h),
                         .gate_gradient = halves(4 * h),
                         .gates = floats(4 * h),
                         .c = device_->template Make<float>(rows_ * h + state),
                         .h = device_->template Make<float>(rows_ * h + state),
                         .state = {device_->template Make<float>(2 * state),
                                   device_->template Make<float>(2 * state)}});
    }
    hidden_ = halves(h);
    if (model.output_projection) {
      z_float_ = floats(model.embedding);
      z_ = halves(model.embedding);
    }
    logits_ = floats(model.vocabulary);
    logit_gradient_ = halves(model.vocabulary);
    gradient_ = floats(std::max(h, model.embedding));
    carried_h_ = device_->template Make<float>(model.streams * h);
    carried_c_ = device_->template Make<float>(model.streams * h);
    losses_ = device_->template Make<double>(rows_);
    loss_ = device_->template Make<double>(1);
    ones_ = halves(1);
    const std::vector<Half> ones(static_cast<size_t>(rows_), static_cast<Half>(1.0f));
    device_->Upload(ones.data(), rows_, ones_.data());
    words_ = device_->template Make<int32_t>(6 * rows_ + 1);
    if (!model.tied) touched_ = device_->template Make<uint8_t>(model.vocabulary);
  }

  size_t parameters() const override { return parameters_.count(); }
  int64_t size(size_t parameter) const override { return parameters_.matrix(parameter).size(); }
  void Set(DeviceArray array, size_t parameter, std::span<const float> values) override {
    device_->Upload(values.data(), size(parameter), parameters_.At(array, parameter));
  }
  void Get(DeviceArray array, size_t parameter, std::span<float> values) override {
    device_->Download(parameters_.At(array, parameter), size(parameter), values.data());
  }
  void SetState(int layer, std::span<const float> h, std::span<const float> c) override {
    float* state = layers_[static_cast<size_t>(layer)].state[kTraining].data();
    device_->Upload(h.data(), StateSize(), state);
    device_->Upload(c.data(), StateSize(), state + StateSize());
  }
  void GetState(int layer, std::span<float> h, std::span<float> c) override {
    const float* state = layers_[static_cast<size_t>(layer)].state[kTraining].data();
    device_->Download(state, StateSize(), h.data());
    device_->Download(state + StateSize(), StateSize(), c.data());
  }

  DeviceLoss Step(const DeviceStep& step) override {
    key_ = step.dropout_key;
    UploadWords(*step.batch, /*places=*/true);
    PackAll(DeviceArray::kValue, options_.dropout);
    Forward(kTraining, DeviceArray::kValue, options_.dropout);
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
    for (Layer& layer : layers_) device_->Clear(layer.state[kEvaluation].data(), 2 * StateSize());
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
  using Matrix = typename DeviceParameters<Device>::Matrix;

  struct Layer {
    int64_t inputs;
    Buffer<Half> x, h_in, gate_gradient;
    Buffer<float> gates;     // Products, then activations.
    Buffer<float> c, h;      // [T + 1, B, H]: of before the segment, then after each step.
    Buffer<float> state[2];  // h, then c, that the next segment of a text begins with.
  };

  int64_t Inputs(int layer) const { return layer == 0 ? model_.embedding : model_.hidden; }
  int64_t StateSize() const { return model_.streams * model_.hidden; }

  // In the order of Network::Parameters.
  std::vector<Matrix> Matrices() {
    std::vector<Matrix> all;
    const auto add = [&](int64_t rows, int64_t cols, bool sparse = false) {
      all.push_back({.rows = rows, .cols = cols, .offset = 0, .sparse = sparse});
      return all.size() - 1;
    };
    const int64_t h = model_.hidden, e = model_.embedding, v = model_.vocabulary;
    if (!model_.tied) embedding_ = add(v, e, /*sparse=*/true);
    for (int layer = 0; layer < model_.layers; ++layer) {
      first_of_layer_.push_back(add(Inputs(layer), 4 * h));
      add(h, 4 * h);
      add(1, 4 * h);
    }
    if (model_.output_projection) {
      projection_ = add(h, e);
      add(1, e);
    }
    table_ = add(e, v);
    if (model_.tied) embedding_ = table_;
    if (model_.output_bias) add(1, v);
    return all;
  }
  size_t WeightX(size_t layer) const { return first_of_layer_[layer]; }
  size_t WeightH(size_t layer) const { return first_of_layer_[layer] + 1; }
  size_t Bias(size_t layer) const { return first_of_layer_[layer] + 2; }
  size_t ProjectionBias() const { return projection_ + 1; }
  size_t OutputBias() const { return table_ + 1; }
  TableAt Table() const {
    return {.tied = model_.tied, .vocabulary = model_.vocabulary, .size = model_.embedding};
  }

  DeviceMask Mask(double rate, uint64_t number, int64_t period) const {
    DeviceMask mask;
    if (rate <= 0) return mask;
    mask.key = static_cast<uint32_t>(Combine(key_, number));
    mask.threshold = static_cast<uint32_t>(rate * 4294967296.0);
    mask.factor = static_cast<float>(1.0 / (1.0 - rate));
    mask.period = period;
    return mask;
  }
  DeviceMask RowMask(double rate, const DropoutRates& dropout, uint64_t number) const {
    return Mask(rate, number, dropout.variational ? model_.streams : 0);
  }
  DeviceMask InputMask(const DropoutRates& dropout, size_t layer) const {
    return RowMask(layer == 0 ? dropout.input : dropout.hidden, dropout, layer);
  }
  DeviceMask OutputMask(const DropoutRates& dropout) const {
    return RowMask(dropout.output, dropout, layers_.size());
  }
  DeviceMask ProjectionMask(const DropoutRates& dropout) const {
    return RowMask(dropout.projection, dropout, DeviceMasks::kProjection);
  }
  DeviceMask WordMask(const DropoutRates& dropout) const {
    return Mask(dropout.words, DeviceMasks::kWords, 0);
  }
  DeviceMask StateMask(const DropoutRates& dropout, size_t layer) const {
    return Mask(dropout.state, DeviceMasks::kState + layer, model_.streams);
  }
  DeviceMask RecurrentMask(const DropoutRates& dropout, size_t layer) const {
    return Mask(dropout.recurrent, DeviceMasks::kRecurrent + layer, 0);
  }

  // inputs, targets, resets, [rows] each; with `places` also distinct, first and places.
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
    for (size_t layer = 0; layer < layers_.size(); ++layer) {
      parameters_.Pack(WeightX(layer), array);
      parameters_.Pack(WeightH(layer), array, RecurrentMask(dropout, layer));
    }
    if (model_.output_projection) parameters_.Pack(projection_, array);
    parameters_.Pack(table_, array);
  }

  // c [rows, cols] (+)= a b for activations of `count` rows and a matrix.
  void MultiplyRows(int64_t count, const Half* a, int64_t a_cols, size_t matrix, bool transposed,
                    float* c, bool accumulate = false) {
    const Matrix& m = parameters_.matrix(matrix);
    const int64_t cols = transposed ? m.rows : m.cols;
    device_->Multiply(DeviceProduct<Half>{.m = count,
                                          .n = cols,
                                          .k = a_cols,
                                          .a = a,
                                          .a_stride = a_cols,
                                          .transpose_a = false,
                                          .b = parameters_.operand(matrix),
                                          .b_stride = m.cols,
                                          .transpose_b = transposed,
                                          .c = c,
                                          .c_stride = cols,
                                          .accumulate = accumulate});
  }
  // The gradient of a matrix: x^T y, and of the bias behind it, if it has one.
  void MatrixGradient(size_t matrix, const Half* x, const Half* y) {
    const Matrix& m = parameters_.matrix(matrix);
    device_->Multiply(DeviceProduct<Half>{.m = m.rows,
                                          .n = m.cols,
                                          .k = rows_,
                                          .a = x,
                                          .a_stride = m.rows,
                                          .transpose_a = true,
                                          .b = y,
                                          .b_stride = m.cols,
                                          .transpose_b = false,
                                          .c = parameters_.gradient(matrix),
                                          .c_stride = m.cols,
                                          .accumulate = false});
  }
  void BiasGradient(size_t bias, const Half* y) {
    const int64_t cols = parameters_.matrix(bias).cols;
    device_->Multiply(DeviceProduct<Half>{.m = 1,
                                          .n = cols,
                                          .k = rows_,
                                          .a = ones_.data(),
                                          .a_stride = rows_,
                                          .transpose_a = false,
                                          .b = y,
                                          .b_stride = cols,
                                          .transpose_b = false,
                                          .c = parameters_.gradient(bias),
                                          .c_stride = cols,
                                          .accumulate = false});
  }

  void Forward(Stream stream, DeviceArray array, const DropoutRates& dropout) {
    const int64_t h = model_.hidden;
    device_->Each(rows_ * model_.embedding,
                  EmbedWords<Half>{.table = parameters_.At(array, embedding_),
                                   .at = Table(),
                                   .words = inputs(),
                                   .word_mask = WordMask(dropout),
                                   .input_mask = InputMask(dropout, 0),
                                   .x = layers_[0].x.data()});
    for (size_t layer = 0; layer < layers_.size(); ++layer) {
      ForwardLayer(stream, array, dropout, layer);
      const bool last = layer + 1 == layers_.size();
      device_->Each(
          rows_ * h,
          CastActivations<Half>{.from = layers_[layer].h.data() + StateSize(),
                                .bias = nullptr,
                                .cols = h,
                                .mask = last ? OutputMask(dropout) : InputMask(dropout, layer + 1),
                                .to = last ? hidden_.data() : layers_[layer + 1].x.data()});
    }
    if (!model_.output_projection) return;
    MultiplyRows(rows_, hidden_.data(), h, projection_, false, z_float_.data());
    device_->Each(rows_ * model_.embedding,
                  CastActivations<Half>{.from = z_float_.data(),
                                        .bias = parameters_.At(array, ProjectionBias()),
                                        .cols = model_.embedding,
                                        .mask = ProjectionMask(dropout),
                                        .to = z_.data()});
  }

  void ForwardLayer(Stream stream, DeviceArray array, const DropoutRates& dropout, size_t index) {
    Layer& layer = layers_[index];
    const int64_t h = model_.hidden, streams = model_.streams, state = StateSize();
    float* carried = layer.state[stream].data();
    device_->Copy(carried, state, layer.h.data());
    device_->Copy(carried + state, state, layer.c.data());
    MultiplyRows(rows_, layer.x.data(), layer.inputs, WeightX(index), false, layer.gates.data());
    const DeviceMask mask = StateMask(dropout, index);
    device_->Each(state, BeginSegment<Half>{.h = layer.h.data(),
                                            .resets = resets(),
                                            .state_mask = mask,
                                            .hidden = h,
                                            .h_in = layer.h_in.data()});
    for (int64_t t = 0; t < model_.steps; ++t) {
      const int64_t row = t * streams;
      MultiplyRows(streams, layer.h_in.data() + row * h, h, WeightH(index), false,
                   layer.gates.data() + row * 4 * h, /*accumulate=*/true);
      const bool last = t + 1 == model_.steps;
      device_->Each(
          state,
          CellForward<Half>{.streams = streams,
                            .hidden = h,
                            .row = row,
                            .resets = resets(),
                            .bias = parameters_.At(array, Bias(index)),
                            .state_mask = mask,
                            .gates = layer.gates.data(),
                            .c_before = layer.c.data() + row * h,
                            .c = layer.c.data() + (row + streams) * h,
                            .h = layer.h.data() + (row + streams) * h,
                            .h_in_next = last ? nullptr : layer.h_in.data() + (row + streams) * h});
    }
    device_->Copy(layer.h.data() + rows_ * h, state, carried);
    device_->Copy(layer.c.data() + rows_ * h, state, carried + state);
  }

  const Half* Z() { return model_.output_projection ? z_.data() : hidden_.data(); }

  void Softmax(DeviceArray array, float gradient_scale, Half* gradient) {
    MultiplyRows(rows_, Z(), model_.embedding, table_, false, logits_.data());
    device_->EachRow(
        rows_,
        SoftmaxRow<Half>{.logits = logits_.data(),
                         .bias = model_.output_bias ? parameters_.At(array, OutputBias()) : nullptr,
                         .targets = targets(),
                         .vocabulary = model_.vocabulary,
                         .gradient_scale = gradient_scale,
                         .gradient = gradient,
                         .losses = losses_.data()});
    device_->EachRow(
        1, SumPiece<double, false>{
               .values = losses_.data(), .count = rows_, .size = rows_, .sums = loss_.data()});
  }

  void Backward(float gradient_scale) {
    const int64_t h = model_.hidden, e = model_.embedding;
    const DropoutRates& dropout = options_.dropout;
    MatrixGradient(table_, Z(), logit_gradient_.data());
    if (model_.output_bias) BiasGradient(OutputBias(), logit_gradient_.data());
    MultiplyRows(rows_, logit_gradient_.data(), model_.vocabulary, table_, true, gradient_.data());
    if (model_.output_projection) {
      // z has been used: its gradient takes its place.
      device_->Each(rows_ * e, CastActivations<Half>{.from = gradient_.data(),
                                                     .bias = nullptr,
                                                     .cols = e,
                                                     .mask = ProjectionMask(dropout),
                                                     .to = z_.data()});
      MatrixGradient(projection_, hidden_.data(), z_.data());
      BiasGradient(ProjectionBias(), z_.data());
      MultiplyRows(rows_, z_.data(), e, projection_, true, gradient_.data());
    }
    const auto penalty = [&](double weight) {
      return static_cast<float>(2 * weight / static_cast<double>(h)) * gradient_scale;
    };
    device_->Each(rows_ * h,
                  HiddenGradient{.rows = rows_,
                                 .streams = model_.streams,
                                 .hidden = h,
                                 .h = layers_.back().h.data() + StateSize(),
                                 .targets = targets(),
                                 .resets = resets(),
                                 .mask = OutputMask(dropout),
                                 .activation = penalty(options_.regularization.activation),
                                 .temporal = penalty(options_.regularization.temporal),
                                 .gradient = gradient_.data()});
    for (size_t layer = layers_.size(); layer-- > 0;) {
      BackwardLayer(layer);
      if (layer == 0) break;
      device_->Each(
          rows_ * h,
          DropActivations{.cols = h, .mask = InputMask(dropout, layer), .x = gradient_.data()});
    }
    if (!model_.tied) {
      device_->Clear(parameters_.gradient(embedding_), size(embedding_));
      device_->Clear(touched_.data(), model_.vocabulary);
    }
    device_->Each(distinct_ * e, EmbeddingGradient{.x_gradient = gradient_.data(),
                                                   .at = Table(),
                                                   .distinct = places() + rows_,
                                                   .first = places() + rows_ + distinct_,
                                                   .places = places(),
                                                   .word_mask = WordMask(dropout),
                                                   .input_mask = InputMask(dropout, 0),
                                                   .gradient = parameters_.gradient(embedding_),
                                                   .touched = touched()});
  }

  // gradient_ [rows, H] of the layer's output becomes that of its input.
  void BackwardLayer(size_t index) {
    Layer& layer = layers_[index];
    const int64_t h = model_.hidden, streams = model_.streams;
    const DeviceMask mask = StateMask(options_.dropout, index);
    for (int64_t t = model_.steps - 1; t >= 0; --t) {
      const int64_t row = t * streams;
      device_->Each(StateSize(), CellBackward<Half>{.streams = streams,
                                                    .hidden = h,
                                                    .row = row,
                                                    .last = t + 1 == model_.steps,
                                                    .resets = resets(),
                                                    .state_mask = mask,
                                                    .gates = layer.gates.data(),
                                                    .c_before = layer.c.data() + row * h,
                                                    .c = layer.c.data() + (row + streams) * h,
                                                    .h_gradient = gradient_.data(),
                                                    .carried_h = carried_h_.data(),
                                                    .carried_c = carried_c_.data(),
                                                    .gate_gradient = layer.gate_gradient.data()});
      if (t == 0) break;
      MultiplyRows(streams, layer.gate_gradient.data() + row * 4 * h, 4 * h, WeightH(index), true,
                   carried_h_.data());
    }
    MatrixGradient(WeightX(index), layer.x.data(), layer.gate_gradient.data());
    MatrixGradient(WeightH(index), layer.h_in.data(), layer.gate_gradient.data());
    const DeviceMask dropped = RecurrentMask(options_.dropout, index);
    if (dropped.on()) {
      device_->Each(size(WeightH(index)),
                    DropActivations{
                        .cols = 4 * h, .mask = dropped, .x = parameters_.gradient(WeightH(index))});
    }
    BiasGradient(Bias(index), layer.gate_gradient.data());
    MultiplyRows(rows_, layer.gate_gradient.data(), 4 * h, WeightX(index), true, gradient_.data());
  }

  std::unique_ptr<Device> device_;
  DeviceModel model_;
  DeviceOptions options_;
  int64_t rows_;
  WordPlacer placer_;
  size_t embedding_ = 0, projection_ = 0, table_ = 0;
  std::vector<size_t> first_of_layer_;  // W_x; W_h and the bias follow it.
  DeviceParameters<Device> parameters_;

  std::vector<Layer> layers_;
  Buffer<Half> hidden_;    // The last layer's output, after dropout.
  Buffer<float> z_float_;  // [rows, E] of an output projection.
  Buffer<Half> z_;
  Buffer<float> logits_;  // [rows, V]
  Buffer<Half> logit_gradient_;
  Buffer<float> gradient_;  // [rows, max(E, H)] of activations, on the way back.
  Buffer<float> carried_h_, carried_c_;
  Buffer<double> losses_, loss_;
  Buffer<Half> ones_;  // [rows]
  Buffer<int32_t> words_;
  Buffer<uint8_t> touched_;  // [V] of an untied embedding.
  std::vector<int32_t> words_host_;
  int64_t distinct_ = 0;
  uint64_t key_ = 0;  // Of the step's masks.
  DeviceArray evaluated_ = DeviceArray::kValue;
};

}  // namespace bitlm::trainer
