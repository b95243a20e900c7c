// Network: the whole model of a ModelConfig, forward and backward written out.
//
//   embedding -> [input projection] -> dropout -> LSTM -> dropout -> … -> [output projection] ->
//   output embedding, softmax
#pragma once

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <vector>

#include "engine/model/model_config.h"
#include "trainer/layers/batch.h"
#include "trainer/layers/dropout.h"
#include "trainer/layers/embedding.h"
#include "trainer/layers/linear.h"
#include "trainer/layers/lstm.h"
#include "trainer/layers/output.h"
#include "trainer/layers/sampled_output.h"
#include "trainer/layers/soft_targets.h"
#include "trainer/tensor/random.h"

namespace bitlm::trainer {

// Words are sampled by tiles of the output layer.
inline constexpr int64_t kSampleUnit = 1024;

struct NetworkShape {
  int64_t streams = 64;  // B
  int64_t steps = 35;    // T
  // Words of a sampled softmax (sampled_output.h), a multiple of kSampleUnit; 0, and as many as the
  // vocabulary or more = no sampling.
  int64_t softmax_samples = 0;
  // Scales of binary matrices are fitted to their latent values (planes.h) instead of learned. With
  // several planes they always are.
  bool fitted_scales = false;
};

struct DropoutRates {
  double input = 0;          // Of the first LSTM layer's input.
  double hidden = 0;         // Between LSTM layers.
  double output = 0;         // Of the last LSTM layer's output.
  double words = 0;          // Of whole words of the input.
  double recurrent = 0;      // Of the weights of W_h (DropConnect).
  bool variational = false;  // One mask for all steps of a segment (Gal and Ghahramani 2016).
};

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
  // Whether binary matrices have fitted scales.
  bool fitted() const { return config_.bit_planes > 1 || shape_.fitted_scales; }

  // Every parameter, in a fixed order.
  std::vector<Parameter<Real>*> Parameters();
  EmbeddingLayer<Real>& embedding() { return *embedding_; }
  LinearLayer<Backend>* input_projection() {
    return input_projection_ ? &*input_projection_ : nullptr;
  }
  LinearLayer<Backend>* output_projection() {
    return output_projection_ ? &*output_projection_ : nullptr;
  }
  std::vector<std::unique_ptr<LstmLayer<Backend>>>& lstm() { return lstm_; }
  OutputLayer<Backend>& output() { return *output_; }

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

  // Multiplies every logit with `scale`, in the output projection where there is one; a tied float
  // table has to have one. Before Pack.
  void ScaleLogits(Real scale);

  // Sum of -log p over the scored targets, nats. `state` is carried from segment to segment.
  double Loss(const Batch& batch, State* state);
  // The same in training, and the gradients of gradient_scale * loss. `dropout_key` selects this
  // step's masks; Pack() has had the same. With a teacher, whose z is of the same batch, the
  // gradients are those of (1 - weight) * loss + weight * (cross entropy with its distributions).
  // A network has one teacher, whose table does not change.
  double LossAndGradient(const Batch& batch, const DropoutRates& dropout, uint64_t dropout_key,
                         Real gradient_scale, State* state, const Teacher<Real>& teacher = {});
  // What a pupil needs of this network as the teacher: z of the batch, valid until the next pass.
  Teacher<Real> Teach(const Batch& batch, Real weight, State* state);
  // Of the last pass: the input of an LSTM layer, and the last one's output, after dropout.
  const Real* lstm_input(size_t layer) const { return x_[layer].data(); }
  const Real* hidden() const { return hidden_[0].data(); }
  // Of the last LossAndGradient with a teacher that computed every word: the sum of the cross
  // entropies with its distributions, nats.
  double distillation_loss() const { return distillation_loss_; }

 private:
  // Numbers of masks: inputs and outputs of LSTM layers from 0.
  static constexpr uint64_t kWordMask = 1000;
  static constexpr uint64_t kRecurrentMask = 2000;
  static constexpr uint64_t kSoftmaxSample = 3000;

  void Forward(const Batch& batch, const DropoutRates& dropout, uint64_t key, State* state);
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
  Real* z() { return output_projection_ ? projected_.data() : hidden_.back().data(); }

  const Backend& backend_;
  ModelConfig config_;
  NetworkShape shape_;
  int64_t used_rows_, rows_;  // T * B, and the same rounded up to whole row blocks of products.

  std::optional<EmbeddingLayer<Real>> embedding_;
  std::optional<LinearLayer<Backend>> input_projection_, output_projection_;
  std::vector<std::unique_ptr<LstmLayer<Backend>>> lstm_;
  std::optional<OutputLayer<Backend>> output_;
  std::optional<SampledOutputLayer<Backend>> sampled_;
  std::optional<SoftTargets<Backend>> soft_;  // Of the one teacher, which does not change.
  bool sampling_ = false;
  double distillation_loss_ = 0;

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
  // [LCY18] equation 8: binarized to +-sqrt(1 / H).
  const auto alpha = static_cast<Real>(std::sqrt(1.0 / static_cast<double>(h)));
  const auto buffer = [&](int64_t width) {
    return AlignedBuffer<Real>(static_cast<size_t>(rows_ * width));
  };
  const int planes = fitted() ? config.bit_planes : 0;
  const auto binary = [&](MatrixKind kind) { return kind == MatrixKind::kBinary && planes == 0; };
  const auto fitted = [&](MatrixKind kind) { return kind == MatrixKind::kBinary && planes > 0; };

  const bool tied = config.output_embedding == MatrixKind::kTied;
  const bool binary_output = binary(tied ? config.embedding : config.output_embedding);
  output_.emplace(backend, rows_, e, v, binary_output, alpha, config.output_bias);
  // A linear layer has scales of its own.
  const bool scaled = config.input_projection == MatrixKind::kNone;
  if (tied) {
    embedding_.emplace(&output_->table(), scaled);
  } else {
    embedding_.emplace(v, e, binary(config.embedding), alpha, scaled);
  }
  embedded_ = buffer(e);
  if (config.input_projection != MatrixKind::kNone) {
    input_projection_.emplace(backend, "input_projection", rows_, e, h,
                              binary(config.input_projection), alpha);
  }
  for (int layer = 0; layer < config.layers; ++layer) {
    const int64_t inputs = config.LstmInputSize(layer);
    lstm_.push_back(std::make_unique<LstmLayer<Backend>>(backend, "lstm." + std::to_string(layer),
                                                         shape.streams, shape.steps, rows_, inputs,
                                                         h, binary(config.recurrent), alpha));
    x_.push_back(buffer(inputs));
    h_.push_back(buffer(h));
  }
  hidden_.push_back(buffer(h));
  if (config.output_projection != MatrixKind::kNone) {
    output_projection_.emplace(backend, "output_projection", rows_, h, e,
                               binary(config.output_projection), alpha);
    projected_ = buffer(e);
  }
  static_assert(kSampleUnit == 2 * OutputLayer<Backend>::kTileWords);
  if (shape.softmax_samples > 0 && shape.softmax_samples < v) {
    sampled_.emplace(backend, rows_, e, v, shape.softmax_samples, binary_output, alpha,
                     config.output_bias);
    sampling_ = true;
  }
  if (fitted(tied ? config.embedding : config.output_embedding))
    SetFitted(planes, 1, &output_->table());
  if (!tied && fitted(config.embedding)) SetFitted(planes, 1, &embedding_->table());
  const auto set_fitted = [&](Weight<Backend>& weight) {
    SetFitted(planes, weight.parameter.cols, &weight.parameter);
  };
  if (fitted(config.input_projection)) set_fitted(input_projection_->weight());
  if (fitted(config.output_projection)) set_fitted(output_projection_->weight());
  for (auto& layer : lstm_) {
    if (!fitted(config.recurrent)) continue;
    set_fitted(layer->weight_x());
    set_fitted(layer->weight_h());
  }
  gradient_a_ = buffer(std::max(e, h));
  gradient_b_ = buffer(std::max(e, h));
  targets_.assign(static_cast<size_t>(rows_), -1);
}

template <typename Backend>
std::vector<Parameter<typename Backend::Real>*> Network<Backend>::Parameters() {
  std::vector<Parameter<Real>*> all;
  if (!embedding_->tied()) all.push_back(&embedding_->table());
  if (embedding_->gamma() != nullptr) all.push_back(embedding_->gamma());
  const auto add_linear = [&](LinearLayer<Backend>& layer) {
    all.push_back(&layer.weight().parameter);
    all.push_back(&layer.bias());
    if (layer.binary()) all.push_back(&layer.gamma());
  };
  if (input_projection_) add_linear(*input_projection_);
  for (auto& layer : lstm_) {
    all.push_back(&layer->weight_x().parameter);
    all.push_back(&layer->weight_h().parameter);
    all.push_back(&layer->bias());
    if (layer->binary()) all.push_back(&layer->gamma());
  }
  if (output_projection_) add_linear(*output_projection_);
  all.push_back(&output_->table());
  if (output_->bias() != nullptr) all.push_back(output_->bias());
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
  for (Parameter<Real>* p : Parameters()) p->hardness = hardness;
}

template <typename Backend>
void Network<Backend>::Pack(const DropoutRates& dropout, uint64_t dropout_key) {
  if (input_projection_) input_projection_->Pack();
  for (size_t layer = 0; layer < lstm_.size(); ++layer) {
    lstm_[layer]->Pack(
        {.rate = dropout.recurrent,
         .key = static_cast<uint32_t>(Combine(dropout_key, kRecurrentMask + layer))});
  }
  if (output_projection_) output_projection_->Pack();
  if (output_->table().fitted()) FitTable(&output_->table());
  if (!embedding_->tied() && embedding_->table().fitted()) FitTable(&embedding_->table());
  if (!sampling_) output_->Pack();
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
                               State* state) {
  const int64_t h = config_.hidden_size;
  Real* first = input_projection_ ? embedded_.data() : x_[0].data();
  embedding_->Forward(batch.inputs, first, backend_.pool());
  ApplyWordDropout(WordMask(dropout, key), batch.inputs, first, config_.embedding_size,
                   backend_.pool());
  if (input_projection_) {
    input_projection_->Forward(embedded_.data(), x_[0].data());
    // The projection's bias must not reach the padding, which counts as no input at all.
    std::fill(x_[0].data() + used_rows_ * h, x_[0].data() + rows_ * h, Real(0));
  }
  for (size_t layer = 0; layer < lstm_.size(); ++layer) {
    if (layer > 0) std::copy(h_[layer - 1].begin(), h_[layer - 1].end(), x_[layer].begin());
    ApplyDropout(Mask(InputRate(dropout, layer), dropout, key, layer), x_[layer].data(), used_rows_,
                 lstm_[layer]->inputs(), backend_.pool());
    lstm_[layer]->Forward(x_[layer].data(), batch.resets, &(*state)[layer], h_[layer].data());
  }
  std::copy(h_.back().begin(), h_.back().end(), hidden_[0].begin());
  ApplyDropout(Mask(dropout.output, dropout, key, lstm_.size()), hidden_[0].data(), used_rows_, h,
               backend_.pool());
  if (output_projection_) output_projection_->Forward(hidden_[0].data(), projected_.data());
  std::copy(batch.targets.begin(), batch.targets.end(), targets_.begin());
}

template <typename Backend>
double Network<Backend>::Loss(const Batch& batch, State* state) {
  Forward(batch, {}, 0, state);
  return output_->Loss(z(), targets_.data());
}

template <typename Backend>
Teacher<typename Backend::Real> Network<Backend>::Teach(const Batch& batch, Real weight,
                                                        State* state) {
  Forward(batch, {}, 0, state);
  return {.z = z(), .output = output_->weights(), .weight = weight};
}

template <typename Backend>
double Network<Backend>::LossAndGradient(const Batch& batch, const DropoutRates& dropout,
                                         uint64_t dropout_key, Real gradient_scale, State* state,
                                         const Teacher<Real>& teacher) {
  Forward(batch, dropout, dropout_key, state);
  Real* gradient = gradient_a_.data();
  Real* other = gradient_b_.data();
  double loss = 0;
  if (!sampling_ ||
      !sampled_->LossAndGradient(z(), targets_, teacher, Combine(dropout_key, kSoftmaxSample),
                                 gradient_scale, gradient, &*output_, &loss)) {
    if (sampling_) output_->Pack();
    output_->set_hard_weight(1 - teacher.weight);
    loss = output_->LossAndGradient(z(), targets_.data(), gradient_scale, gradient);
    if (teacher.weight > 0) {
      if (!soft_) {
        soft_.emplace(backend_, rows_, teacher.output.table->rows, config_.vocabulary_size);
        soft_->Pack(teacher.output);
      }
      distillation_loss_ = output_->Distill(z(), teacher.z, targets_.data(), gradient_scale,
                                            teacher.weight, &*soft_, gradient);
    }
  }
  if (output_projection_) {
    output_projection_->Backward(hidden_[0].data(), gradient, other);
    std::swap(gradient, other);
  }
  ApplyDropout(Mask(dropout.output, dropout, dropout_key, lstm_.size()), gradient, used_rows_,
               config_.hidden_size, backend_.pool());
  for (size_t layer = lstm_.size(); layer-- > 0;) {
    lstm_[layer]->Backward(x_[layer].data(), batch.resets, gradient, other);
    std::swap(gradient, other);
    ApplyDropout(Mask(InputRate(dropout, layer), dropout, dropout_key, layer), gradient, used_rows_,
                 lstm_[layer]->inputs(), backend_.pool());
  }
  if (input_projection_) {
    input_projection_->Backward(embedded_.data(), gradient, other);
    std::swap(gradient, other);
  }
  ApplyWordDropout(WordMask(dropout, dropout_key), batch.inputs, gradient, config_.embedding_size,
                   backend_.pool());
  embedding_->Backward(batch.inputs, gradient, backend_.pool());
  return loss;
}

}  // namespace bitlm::trainer
