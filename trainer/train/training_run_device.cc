// A run whose steps a device takes. The arrays here are as of the last fetch.

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "engine/base/status.h"
#include "trainer/device/device_model.h"
#include "trainer/train/training_run.h"

namespace bitlm::trainer {
namespace {

// INVALID_ARGUMENT naming a key of the recipe that has no meaning on a device.
absl::Status CheckOnDevice(const Recipe& recipe) {
  for (const auto& [set, key] :
       {std::pair(!recipe.optimizer.clip_latent && recipe.optimizer.clip_norm > 0, "clip_latent"),
        std::pair(recipe.model.self_normalized, "model.self_normalized"),
        std::pair(recipe.anneal > 0, "binary.anneal"),
        std::pair(recipe.activation_quantization, "activation_quantization"),
        std::pair(recipe.pruning.embedding > 0 || recipe.pruning.recurrent > 0, "pruning")}) {
    if (set) return absl::InvalidArgumentError(absl::StrFormat("%s: not on a device", key));
  }
  return absl::OkStatus();
}

absl::Status DeviceStatus(const DeviceTrainer& device) {
  const std::string error = device.error();
  if (error.empty()) return absl::OkStatus();
  const std::string message = "--device: " + error;
  return absl::StrContains(error, "out of memory") ? absl::ResourceExhaustedError(message)
                                                   : absl::InternalError(message);
}

// The numbers of a device's parameters are those of the network's.
absl::Status SendValues(Network<FastBackend>* network, DeviceTrainer* device) {
  const auto parameters = network->Parameters();
  bool same = parameters.size() == device->parameters();
  for (size_t i = 0; same && i < parameters.size(); ++i)
    same = parameters[i]->size() == device->size(i);
  if (!same) return absl::InternalError("--device: has other parameters than the network");
  for (size_t i = 0; i < parameters.size(); ++i)
    device->Set(DeviceArray::kValue, i, parameters[i]->value.span());
  device->SetOutputFactor(network->output().weights().factor);
  return absl::OkStatus();
}

void SetStates(const Network<FastBackend>::State& state, DeviceTrainer* device) {
  for (size_t layer = 0; layer < state.size(); ++layer)
    device->SetState(static_cast<int>(layer), state[layer].h.span(), state[layer].c.span());
}

void GetStates(DeviceTrainer* device, Network<FastBackend>::State* state) {
  for (size_t layer = 0; layer < state->size(); ++layer)
    device->GetState(static_cast<int>(layer), (*state)[layer].h.span(), (*state)[layer].c.span());
}

}  // namespace

absl::Status TrainingRun::MakeDevice() {
  if (options_.make_device == nullptr) return absl::OkStatus();
  BITLM_RETURN_IF_ERROR(CheckOnDevice(recipe_));
  BITLM_ASSIGN_OR_RETURN(const DeviceModel model,
                         DeviceModelOf(network_.config(), network_.shape()));
  std::string error;
  device_ = options_.make_device(model,
                                 {.dropout = recipe_.dropout,
                                  .regularization = recipe_.penalties.activations,
                                  .optimizer = recipe_.optimizer,
                                  .distillation_weight = recipe_.distillation_weight,
                                  .distillation_temperature = recipe_.distillation_temperature,
                                  .averages = average_.has_value(),
                                  .bfloat16 = Bfloat16()},
                                 &error);
  if (device_ == nullptr) return absl::FailedPreconditionError("--device: " + error);
  for (const auto& teacher : teachers_) {
    const auto of_teacher = DeviceModelOf(teacher->config(), teacher->shape());
    if (!of_teacher.ok()) {
      return absl::InvalidArgumentError(
          absl::StrFormat("distillation.model: %s", of_teacher.status().message()));
    }
    device_teachers_.push_back(device_->AddTeacher(*of_teacher));
  }
  return DeviceStatus(*device_);
}

absl::Status TrainingRun::SendToDevice() {
  const auto parameters = network_.Parameters();
  BITLM_RETURN_IF_ERROR(SendValues(&network_, device_.get()));
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (recipe_.optimizer.kind == OptimizerKind::kAdam) {
      device_->Set(DeviceArray::kFirstMoment, i, optimizer_.first_moments()[i].span());
      device_->Set(DeviceArray::kSecondMoment, i, optimizer_.second_moments()[i].span());
    }
    if (average_) device_->Set(DeviceArray::kAverage, i, average_->averages()[i].span());
  }
  SetStates(state_, device_.get());
  for (size_t i = 0; i < teachers_.size(); ++i) {
    BITLM_RETURN_IF_ERROR(SendValues(teachers_[i].get(), device_teachers_[i]));
    SetStates(teacher_states_[i], device_teachers_[i]);
  }
  return DeviceStatus(*device_);
}

absl::StatusOr<double> TrainingRun::StepOnDevice(const Batch& batch, uint64_t dropout_key,
                                                 bool averages) {
  fetched_ = false;
  optimizer_.set_steps(optimizer_.steps() + 1);
  const DeviceLoss result =
      device_->Step({.batch = &batch,
                     .dropout_key = dropout_key,
                     .gradient_scale = task_.GradientScale(batch),
                     .learning_rate = Rate(),
                     .number = optimizer_.steps(),
                     .average_share = averages ? average_->CountUpdate() : 0});
  BITLM_RETURN_IF_ERROR(DeviceStatus(*device_));
  if (!std::isfinite(result.loss) || !std::isfinite(result.squared_norm)) {
    return absl::InternalError(absl::StrFormat(
        "step %d: the loss or its gradients are not finite; lower learning_rate or clip_norm",
        step_));
  }
  return result.loss;
}

absl::Status TrainingRun::FetchFromDevice() {
  if (device_ == nullptr || fetched_) return absl::OkStatus();
  fetched_ = true;
  const auto parameters = network_.Parameters();
  for (size_t i = 0; i < parameters.size(); ++i) {
    const auto get = [&](DeviceArray array, AlignedBuffer<float>& to) {
      device_->Get(array, i, to.span());
    };
    get(DeviceArray::kValue, parameters[i]->value);
    if (recipe_.optimizer.kind == OptimizerKind::kAdam) {
      get(DeviceArray::kFirstMoment, optimizer_.first_moments()[i]);
      get(DeviceArray::kSecondMoment, optimizer_.second_moments()[i]);
    }
    if (average_) get(DeviceArray::kAverage, average_->averages()[i]);
  }
  GetStates(device_.get(), &state_);
  for (size_t i = 0; i < device_teachers_.size(); ++i)
    GetStates(device_teachers_[i], &teacher_states_[i]);
  return DeviceStatus(*device_);
}

absl::StatusOr<Validation> TrainingRun::ValidateOnDevice() {
  device_->StartEvaluation(Averaging());
  Batch batch;
  double loss = 0;
  int64_t tokens = 0;
  for (int64_t i = 0; i < data_.valid->segments(); ++i) {
    data_.valid->Fill(i, &batch);
    loss += device_->Loss(batch);
    tokens += batch.scored;
  }
  BITLM_RETURN_IF_ERROR(DeviceStatus(*device_));
  return Validation{.perplexity = std::exp(loss / static_cast<double>(tokens)), .accuracy = {}};
}

}  // namespace bitlm::trainer
