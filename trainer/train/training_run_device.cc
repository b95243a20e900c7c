// A run whose steps a device takes. The arrays here are as of the last fetch.

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "absl/strings/str_format.h"
#include "engine/base/status.h"
#include "trainer/device/device_model.h"
#include "trainer/train/training_run.h"

namespace bitlm::trainer {
namespace {

// INVALID_ARGUMENT naming a key of the recipe that has no meaning on a device.
absl::Status CheckOnDevice(const Recipe& recipe) {
  for (const auto& [set, key] :
       {std::pair(!recipe.optimizer.clip_latent, "clip_latent"),
        std::pair(recipe.anneal > 0, "binary.anneal"),
        std::pair(recipe.activation_quantization, "activation_quantization"),
        std::pair(recipe.pruning.embedding > 0 || recipe.pruning.recurrent > 0, "pruning"),
        std::pair(recipe.constant_dimensions > 0, "self_normalization.dimensions")}) {
    if (set) return absl::InvalidArgumentError(absl::StrFormat("%s: not on a device", key));
  }
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
  return absl::OkStatus();
}

absl::Status TrainingRun::SendToDevice() {
  if (device_ == nullptr) return absl::OkStatus();
  const auto parameters = network_.Parameters();
  for (size_t i = 0; i < parameters.size(); ++i) {
    const auto set = [&](DeviceArray array, const AlignedBuffer<float>& from) {
      device_->Set(array, i, from.span());
    };
    set(DeviceArray::kValue, parameters[i]->value);
    if (recipe_.optimizer.kind == OptimizerKind::kAdam) {
      set(DeviceArray::kFirstMoment, optimizer_.first_moments()[i]);
      set(DeviceArray::kSecondMoment, optimizer_.second_moments()[i]);
    }
    if (average_) set(DeviceArray::kAverage, average_->averages()[i]);
  }
  SetStates(state_, device_.get());
  for (size_t i = 0; i < teachers_.size(); ++i) {
    BITLM_ASSIGN_OR_RETURN(const DeviceModel model,
                           DeviceModelOf(teachers_[i]->config(), teachers_[i]->shape()));
    DeviceTrainer* teacher = device_->AddTeacher(model);
    const auto of_teacher = teachers_[i]->Parameters();
    for (size_t p = 0; p < of_teacher.size(); ++p)
      teacher->Set(DeviceArray::kValue, p, of_teacher[p]->value.span());
    SetStates(teacher_states_[i], teacher);
    device_teachers_.push_back(teacher);
  }
  return device_->error().empty() ? absl::OkStatus() : absl::InternalError(device_->error());
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
  if (!device_->error().empty()) return absl::InternalError(device_->error());
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
  return device_->error().empty() ? absl::OkStatus() : absl::InternalError(device_->error());
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
  if (!device_->error().empty()) return absl::InternalError(device_->error());
  return Validation{.perplexity = std::exp(loss / static_cast<double>(tokens)), .accuracy = {}};
}

}  // namespace bitlm::trainer
