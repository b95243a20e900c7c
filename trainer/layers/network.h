// Network: the whole model of a ModelConfig, forward and backward written out.
//
//   embedding -> [input projection] -> dropout -> LSTM -> dropout -> … -> [output projection] ->
//   output embedding, softmax
#pragma once

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/model/model_config.h"
#include "trainer/layers/activation_quantization.h"
#include "trainer/layers/activation_regularization.h"
#include "trainer/layers/batch.h"
#include "trainer/layers/dropout.h"
#include "trainer/layers/embedding.h"
#include "trainer/layers/linear.h"
#include "trainer/layers/lstm.h"
#include "trainer/layers/matrix_planes.h"
#include "trainer/layers/network_options.h"
#include "trainer/layers/output.h"
#include "trainer/layers/sampled_output.h"
#include "trainer/layers/sign_activation.h"
#include "trainer/layers/soft_targets.h"
#include "trainer/tensor/random.h"

namespace bitlm::trainer {

template <typename Backend>
class Network {
 public:
  using Real = typename Backend::Real;
  using State = std::vector<LstmState<Real>>;

  // `config` has passed CheckTrainable. `backend` must outlive the network.
  Network(const Backend& backend, const ModelConfig& config, const NetworkShape& shape);
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  const ModelConfig& config() const { return config_; }
  const NetworkShape& shape() const { return shape_; }
  // Planes of binary tables with fitted scales (planes.h); 0 = scales are learned.
  int table_planes() const { return MatrixPlanesOf(config_, shape_).tables; }
  ThreadPool* pool() const { return backend_.pool(); }

  // Every parameter, in a fixed order.
  const std::vector<Parameter<Real>*>& Parameters() { return parameters_; }
  // What training passes keep beside them: the running statistics of batch norms, by name.
  std::vector<std::pair<std::string, std::span<Real>>> Statistics();
  EmbeddingLayer<Real>& embedding() { return *embedding_; }
  LinearLayer<Backend>* input_projection() {
    return input_projection_ ? &*input_projection_ : nullptr;
  }
  LinearLayer<Backend>* output_projection() {
    return output_projection_ ? &*output_projection_ : nullptr;
  }
  std::vector<std::unique_ptr<LstmLayer<Backend>>>& lstm() { return lstm_; }
  OutputLayer<Backend>& output() { return *output_; }
  // Of the inputs of the LSTM layers, by layer; empty without sign activations.
  std::vector<SignActivation<Real>>& input_signs() { return input_signs_; }

  State ZeroState() const;
  // Whether training passes sample the softmax; at first they do if the shape has samples. Until
  // they do not, only training passes may follow Pack.
  void set_sampling(bool sampling) { sampling_ = sampling && sampled_.has_value(); }

  // How far binary matrices with fitted scales are from their latent values (0) to planes (1, at
  // first) from the next Pack on: soft-to-hard training by interpolation (Liu and Mattina 2019,
  // arXiv:1903.01061).
  void set_hardness(Real hardness);

  // After every change of parameters, before the next pass; before a training pass, with its
  // dropout and key.
  void Pack(const DropoutRates& dropout = {}, uint64_t dropout_key = 0);

  // Of every LossAndGradient from now on.
  void set_penalties(const Penalties& penalties);
  // Whether every pass rounds the inputs of binary matrices as the engine does, to
  // config().activation_planes; false at first.
  void set_activation_quantization(bool on);
  // Frees gradients and what the output layer computes with. After Pack; from then on only Teach
  // may be called.
  void KeepOnlyTeaching();

  // Multiplies every logit with `scale`, in the output projection where there is one; a tied float
  // table has to have one. Before Pack.
  void ScaleLogits(Real scale);

  // Sum of -log p over the scored targets, nats. `state` is carried from segment to segment.
  double Loss(const Batch& batch, State* state);
  // The same of a classifier, and the most probable class after each scored step; of equal ones the
  // lowest. classes [T * B].
  double LossAndClasses(const Batch& batch, State* state, std::vector<int32_t>* classes);
  // The same in training, and the gradients of gradient_scale * loss. `dropout_key` selects this
  // step's masks; Pack() has had the same. With teachers, whose z are of the same batch, the
  // gradients are those of the loss in soft_targets.h; a network's teachers, whose tables do not
  // change, are the same in every call. The penalties are in the gradients, not in the result.
  double LossAndGradient(const Batch& batch, const DropoutRates& dropout, uint64_t dropout_key,
                         Real gradient_scale, State* state, const Distillation<Real>& from = {});
  // What a pupil needs of this network as its teacher: z of the batch, valid until the next pass.
  Teacher<Real> Teach(const Batch& batch, State* state);
  // Of the last pass: the input of an LSTM layer, and the last one's output, after dropout.
  const Real* lstm_input(size_t layer) const { return x_[layer].data(); }
  const Real* hidden() const { return hidden_[0].data(); }
  // Of the last LossAndGradient with teachers: the sum of the cross entropies H with their mean
  // distribution at their temperature, nats; of a sampled softmax without the constant of weighted
  // words.
  double distillation_loss() const {
    return sampled_last_ ? sampled_->distillation_loss() : output_->distillation_loss();
  }
  // Of the last pass; an estimate where the softmax was sampled.
  const LogZSums& log_z() const { return sampled_last_ ? sampled_->log_z() : output_->log_z(); }
  // Of the last LossAndGradient: the sum of the activations' penalties, nats.
  double regularization_loss() const { return regularization_loss_; }

 private:
  void ListParameters();
  void Forward(const Batch& batch, const DropoutRates& dropout, uint64_t key, bool training,
               State* state);
  DropoutMask Mask(double rate, const DropoutRates& dropout, uint64_t key, uint64_t layer) const {
    return {.rate = rate,
            .key = static_cast<uint32_t>(Combine(key, layer)),
            .period = dropout.variational ? shape_.streams : 0};
  }
  DropoutMask WordMask(const DropoutRates& dropout, uint64_t key) const {
    return Mask(dropout.words, dropout, key, kWordMask);
  }
  double InputRate(const DropoutRates& dropout, size_t layer) const {
    return layer == 0 ? dropout.input : dropout.hidden;
  }
  // The rounding of the input of a matrix of signs; none of a float one's, or of signs (null). A
  // hidden state is rounded before dropout scales it.
  ActivationGrid Grid(const Parameter<Real>* matrix, QuantizationScale scale) const {
    const bool rounds = rounding_ && matrix != nullptr && matrix->binarized();
    return {.planes = rounds ? config_.activation_planes : 0, .scale = scale};
  }
  void DropProjection(const DropoutRates& dropout, uint64_t key, Real* x) const {
    ApplyDropout(Mask(dropout.projection, dropout, key, kProjectionMask), x, used_rows_,
                 config_.embedding_size, backend_.pool());
  }
  Real* z() { return output_projection_ ? projected_.data() : hidden_.back().data(); }

  const Backend& backend_;
  ModelConfig config_;
  NetworkShape shape_;
  int64_t used_rows_, rows_;  // T * B, and the same rounded up to whole row blocks of products.

  std::optional<EmbeddingLayer<Real>> embedding_;
  std::optional<LinearLayer<Backend>> input_projection_, output_projection_;
  std::vector<std::unique_ptr<LstmLayer<Backend>>> lstm_;
  std::vector<SignActivation<Real>> input_signs_;
  std::optional<OutputLayer<Backend>> output_;
  std::optional<SampledOutputLayer<Backend>> sampled_;
  PackedTeachers<Backend> packed_teachers_;  // Of the teachers, which do not change.
  bool sampling_ = false;
  bool sampled_last_ = false;
  bool rounding_ = false;
  Penalties penalties_;
  double regularization_loss_ = 0;
  std::vector<Parameter<Real>*> parameters_;

  AlignedBuffer<Real> embedded_;                 // [rows, E]
  std::vector<AlignedBuffer<Real>> x_;           // Input of each LSTM layer, after dropout.
  std::vector<AlignedBuffer<Real>> h_;           // Output of each LSTM layer.
  std::vector<AlignedBuffer<Real>> hidden_;      // One element: the last output, after dropout.
  AlignedBuffer<Real> projected_;                // [rows, E]
  AlignedBuffer<Real> gradient_a_, gradient_b_;  // [rows, max width]
  std::vector<int32_t> targets_;                 // Padded with -1.
};

template <typename Backend>
Network<Backend>::Network(const Backend& backend, const ModelConfig& config,
                          const NetworkShape& shape)
    : backend_(backend), config_(config), shape_(shape) {
  used_rows_ = shape.streams * shape.steps;
  rows_ = (used_rows_ + kPackRows - 1) / kPackRows * kPackRows;
  const int64_t e = config.embedding_size, h = config.hidden_size, v = config.vocabulary_size;
  const int64_t outputs = config.OutputSize();
  // [LCY18] equation 8: binarized to +-sqrt(1 / H).
  const auto alpha = static_cast<Real>(std::sqrt(1.0 / static_cast<double>(h)));
  const auto buffer = [&](int64_t width) {
    return AlignedBuffer<Real>(static_cast<size_t>(rows_ * width));
  };
  const MatrixPlanes planes = MatrixPlanesOf(config, shape);
  const bool tied = config.output_embedding == MatrixKind::kTied;
  const MatrixKind output_kind = tied ? config.embedding : config.output_embedding;
  const bool binary_output = IsLearned(output_kind, planes.tables);
  output_.emplace(backend, rows_, e, outputs, binary_output, alpha, config.output_bias);
  // A linear layer has scales of its own.
  const bool scaled = config.input_projection == MatrixKind::kNone;
  if (tied) {
    embedding_.emplace(&output_->table(), scaled);
  } else {
    embedding_.emplace(v, e, IsLearned(config.embedding, planes.tables), alpha, scaled);
  }
  embedded_ = buffer(e);
  if (config.input_projection != MatrixKind::kNone) {
    input_projection_.emplace(backend, "input_projection", rows_, e, h,
                              IsLearned(config.input_projection, planes.projections), alpha,
                              config.scale);
  }
  const LstmKind kind{.binary = IsLearned(config.recurrent, planes.recurrent),
                      .scale = config.scale,
                      .activation = config.activation,
                      .norm = config.norm,
                      .binary_bias = shape.binary_bias};
  for (int layer = 0; layer < config.layers; ++layer) {
    const int64_t inputs = config.LstmInputSize(layer);
    lstm_.push_back(std::make_unique<LstmLayer<Backend>>(backend, "lstm." + std::to_string(layer),
                                                         shape.streams, shape.steps, rows_, inputs,
                                                         h, kind, alpha));
    if (config.activation == ActivationKind::kSign) input_signs_.emplace_back(rows_, inputs);
    x_.push_back(buffer(inputs));
    h_.push_back(buffer(h));
  }
  hidden_.push_back(buffer(h));
  if (config.output_projection != MatrixKind::kNone) {
    output_projection_.emplace(backend, "output_projection", rows_, h, e,
                               IsLearned(config.output_projection, planes.projections), alpha,
                               config.scale);
    projected_ = buffer(e);
  }
  static_assert(kSampleUnit == 2 * OutputLayer<Backend>::kTileWords);
  if (shape.softmax_samples > 0 && shape.softmax_samples < outputs) {
    sampled_.emplace(backend, rows_, e, outputs, shape.softmax_samples, binary_output, alpha,
                     config.output_bias);
    sampling_ = true;
  }
  if (IsFitted(output_kind, planes.tables)) SetFitted(planes.tables, 1, &output_->table());
  if (!tied && IsFitted(config.embedding, planes.tables))
    SetFitted(planes.tables, 1, &embedding_->table());
  const auto fit = [](MatrixKind of, int count, Weight<Backend>& weight) {
    if (IsFitted(of, count)) SetFitted(count, weight.parameter.cols, &weight.parameter);
  };
  if (input_projection_)
    fit(config.input_projection, planes.projections, input_projection_->weight());
  if (output_projection_)
    fit(config.output_projection, planes.projections, output_projection_->weight());
  for (auto& layer : lstm_) {
    fit(config.recurrent, planes.recurrent, layer->weight_x());
    fit(config.recurrent, planes.recurrent, layer->weight_h());
  }
  gradient_a_ = buffer(std::max(e, h));
  gradient_b_ = buffer(std::max(e, h));
  targets_.assign(static_cast<size_t>(rows_), -1);
  ListParameters();
}

template <typename Backend>
void Network<Backend>::ListParameters() {
  std::vector<Parameter<Real>*>& all = parameters_;
  if (!embedding_->tied()) all.push_back(&embedding_->table());
  if (embedding_->gamma() != nullptr) all.push_back(embedding_->gamma());
  const auto add_linear = [&](LinearLayer<Backend>& layer) {
    all.push_back(&layer.weight().parameter);
    all.push_back(&layer.bias());
    if (layer.has_gamma()) all.push_back(&layer.gamma());
  };
  if (input_projection_) add_linear(*input_projection_);
  for (auto& layer : lstm_) {
    for (Parameter<Real>* parameter : layer->Parameters()) all.push_back(parameter);
  }
  if (output_projection_) add_linear(*output_projection_);
  all.push_back(&output_->table());
  if (output_->bias() != nullptr) all.push_back(output_->bias());
}

template <typename Backend>
std::vector<std::pair<std::string, std::span<typename Backend::Real>>>
Network<Backend>::Statistics() {
  std::vector<std::pair<std::string, std::span<Real>>> all;
  for (size_t layer = 0; layer < lstm_.size(); ++layer) {
    LstmNorm<Real>* norm = lstm_[layer]->norm();
    if (norm == nullptr || norm->batch_x() == nullptr) continue;
    const std::string name = "lstm." + std::to_string(layer);
    all.emplace_back(name + ".statistics_x", norm->batch_x()->statistics());
    all.emplace_back(name + ".statistics_h", norm->batch_h()->statistics());
  }
  return all;
}

template <typename Backend>
typename Network<Backend>::State Network<Backend>::ZeroState() const {
  State state(lstm_.size());
  for (auto& layer : state) {
    layer.h = AlignedBuffer<Real>(static_cast<size_t>(shape_.streams * config_.hidden_size));
    layer.c = AlignedBuffer<Real>(static_cast<size_t>(shape_.streams * config_.hidden_size));
  }
  return state;
}

template <typename Backend>
void Network<Backend>::set_hardness(Real hardness) {
  for (Parameter<Real>* p : parameters_) p->hardness = hardness;
}

template <typename Backend>
void Network<Backend>::Pack(const DropoutRates& dropout, uint64_t dropout_key) {
  if (input_projection_) input_projection_->Pack();
  for (size_t layer = 0; layer < lstm_.size(); ++layer) {
    lstm_[layer]->Pack({.rate = dropout.recurrent,
                        .key = static_cast<uint32_t>(Combine(dropout_key, kRecurrentMask + layer))},
                       {.rate = dropout.state,
                        .key = static_cast<uint32_t>(Combine(dropout_key, kStateMask + layer)),
                        .period = shape_.streams});
  }
  if (output_projection_) output_projection_->Pack();
  if (output_->table().fitted()) FitTable(&output_->table());
  if (!embedding_->tied() && embedding_->table().fitted()) FitTable(&embedding_->table());
  if (!sampling_) output_->Pack();
}

template <typename Backend>
void Network<Backend>::set_penalties(const Penalties& penalties) {
  penalties_ = penalties;
  const auto weight =
      config_.self_normalized ? static_cast<Real>(penalties.self_normalization) : Real(0);
  output_->set_self_normalization(weight);
  if (sampled_) sampled_->set_self_normalization(weight);
}

template <typename Backend>
void Network<Backend>::set_activation_quantization(bool on) {
  rounding_ = on;
  for (auto& layer : lstm_)
    layer->set_state_grid(Grid(input_signs_.empty() ? &layer->weight_h().parameter : nullptr,
                               QuantizationScale::kHidden));
}

template <typename Backend>
void Network<Backend>::KeepOnlyTeaching() {
  for (Parameter<Real>* p : parameters_) p->gradient = {};
  sampled_.reset();
  sampling_ = false;
  gradient_a_ = {};
  gradient_b_ = {};
  output_->KeepOnlyWeights();
}

template <typename Backend>
void Network<Backend>::ScaleLogits(Real scale) {
  output_->ScaleBias(scale);
  if (output_projection_) {
    output_projection_->Scale(scale);
  } else {
    output_->ScaleTable(scale);
  }
}

template <typename Backend>
void Network<Backend>::Forward(const Batch& batch, const DropoutRates& dropout, uint64_t key,
                               bool training, State* state) {
  using enum QuantizationScale;
  const int64_t h = config_.hidden_size;
  const auto round = [&](const Parameter<Real>& matrix, QuantizationScale scale, Real* x,
                         int64_t cols) {
    RoundActivations(Grid(&matrix, scale), x, used_rows_, cols, backend_.pool());
  };
  Real* first = input_projection_ ? embedded_.data() : x_[0].data();
  embedding_->Forward(batch.inputs, first, backend_.pool());
  // A value that dropout takes out before it becomes a sign would be -1: noise ([ZT] section 4.3).
  // So dropout takes signs out.
  if (!input_signs_.empty() && !input_projection_) input_signs_[0].Forward(0, used_rows_, first);
  ApplyWordDropout(WordMask(dropout, key), batch.inputs, first, config_.embedding_size,
                   backend_.pool());
  if (input_projection_) {
    round(input_projection_->weight().parameter, kRowMaximum, embedded_.data(),
          config_.embedding_size);
    input_projection_->Forward(embedded_.data(), x_[0].data());
    // The projection's bias must not reach the padding, which counts as no input at all.
    std::fill(x_[0].data() + used_rows_ * h, x_[0].data() + rows_ * h, Real(0));
  }
  for (size_t layer = 0; layer < lstm_.size(); ++layer) {
    if (layer > 0) std::copy(h_[layer - 1].begin(), h_[layer - 1].end(), x_[layer].begin());
    if (input_signs_.empty()) {
      round(lstm_[layer]->weight_x().parameter, layer > 0 ? kHidden : kRowMaximum, x_[layer].data(),
            lstm_[layer]->inputs());
    } else if (layer > 0 || input_projection_) {
      input_signs_[layer].Forward(0, used_rows_, x_[layer].data());
    }
    ApplyDropout(Mask(InputRate(dropout, layer), dropout, key, layer), x_[layer].data(), used_rows_,
                 lstm_[layer]->inputs(), backend_.pool());
    lstm_[layer]->Forward(x_[layer].data(), batch.resets, training, &(*state)[layer],
                          h_[layer].data());
  }
  std::copy(h_.back().begin(), h_.back().end(), hidden_[0].begin());
  const Parameter<Real>& table = output_->table();
  round(output_projection_ ? output_projection_->weight().parameter : table, kHidden,
        hidden_[0].data(), h);
  ApplyDropout(Mask(dropout.output, dropout, key, lstm_.size()), hidden_[0].data(), used_rows_, h,
               backend_.pool());
  if (output_projection_) {
    output_projection_->Forward(hidden_[0].data(), projected_.data());
    round(table, kRowMaximum, projected_.data(), config_.embedding_size);
    DropProjection(dropout, key, projected_.data());
  }
  std::copy(batch.targets.begin(), batch.targets.end(), targets_.begin());
}

template <typename Backend>
double Network<Backend>::Loss(const Batch& batch, State* state) {
  Forward(batch, {}, 0, /*training=*/false, state);
  sampled_last_ = false;
  return output_->Loss(z(), targets_.data());
}

template <typename Backend>
double Network<Backend>::LossAndClasses(const Batch& batch, State* state,
                                        std::vector<int32_t>* classes) {
  const double loss = Loss(batch, state);
  classes->assign(batch.targets.size(), 0);
  std::vector<Real> best(classes->size());
  for (int32_t c = 0; c < config_.OutputSize(); ++c) {
    for (int32_t& target : targets_) target = target < 0 ? -1 : c;
    output_->Loss(z(), targets_.data());
    for (size_t r = 0; r < best.size(); ++r) {
      if (targets_[r] < 0 || (c > 0 && output_->target_logits()[r] <= best[r])) continue;
      best[r] = output_->target_logits()[r];
      (*classes)[r] = c;
    }
  }
  return loss;
}

template <typename Backend>
Teacher<typename Backend::Real> Network<Backend>::Teach(const Batch& batch, State* state) {
  Forward(batch, {}, 0, /*training=*/false, state);
  return {.z = z(), .output = output_->weights()};
}

template <typename Backend>
double Network<Backend>::LossAndGradient(const Batch& batch, const DropoutRates& dropout,
                                         uint64_t dropout_key, Real gradient_scale, State* state,
                                         const Distillation<Real>& from) {
  Forward(batch, dropout, dropout_key, /*training=*/true, state);
  Real* gradient = gradient_a_.data();
  Real* other = gradient_b_.data();
  double loss = 0;
  sampled_last_ = sampling_ && sampled_->LossAndGradient(
                                   z(), targets_, from, Combine(dropout_key, kSoftmaxSample),
                                   gradient_scale, gradient, &*output_, &loss);
  if (!sampled_last_) {
    if (sampling_) output_->Pack();
    while (packed_teachers_.size() < from.teachers.size()) {
      const OutputWeights<Real>& weights = from.teachers[packed_teachers_.size()].output;
      packed_teachers_.push_back(std::make_unique<SoftTargets<Backend>>(
          backend_, rows_, weights.table->rows, config_.OutputSize()));
      packed_teachers_.back()->Pack(weights, from.temperature);
    }
    loss = output_->LossAndGradient(z(), targets_.data(), gradient_scale, gradient, from,
                                    packed_teachers_);
  }
  if (output_projection_) {
    DropProjection(dropout, dropout_key, gradient);
    output_projection_->Backward(hidden_[0].data(), gradient, other);
    std::swap(gradient, other);
  }
  const RegularizedRows regularized{.streams = shape_.streams,
                                    .hidden = config_.hidden_size,
                                    .targets = batch.targets,
                                    .resets = batch.resets};
  regularization_loss_ =
      AddActivationTerm(penalties_.activations.activation, regularized, hidden_[0].data(),
                        gradient_scale, gradient, backend_.pool());
  ApplyDropout(Mask(dropout.output, dropout, dropout_key, lstm_.size()), gradient, used_rows_,
               config_.hidden_size, backend_.pool());
  regularization_loss_ +=
      AddTemporalTerm(penalties_.activations.temporal, regularized, h_.back().data(),
                      gradient_scale, gradient, backend_.pool());
  for (size_t layer = lstm_.size(); layer-- > 0;) {
    lstm_[layer]->Backward(x_[layer].data(), batch.resets, gradient, other);
    std::swap(gradient, other);
    ApplyDropout(Mask(InputRate(dropout, layer), dropout, dropout_key, layer), gradient, used_rows_,
                 lstm_[layer]->inputs(), backend_.pool());
    if (!input_signs_.empty() && (layer > 0 || input_projection_))
      input_signs_[layer].Backward(0, used_rows_, gradient);
  }
  if (input_projection_) {
    input_projection_->Backward(embedded_.data(), gradient, other);
    std::swap(gradient, other);
  }
  ApplyWordDropout(WordMask(dropout, dropout_key), batch.inputs, gradient, config_.embedding_size,
                   backend_.pool());
  if (!input_signs_.empty() && !input_projection_)
    input_signs_[0].Backward(0, used_rows_, gradient);
  embedding_->Backward(batch.inputs, gradient, backend_.pool());
  return loss;
}

}  // namespace bitlm::trainer
