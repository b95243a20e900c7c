// A network as a DeviceTrainer has it.
#pragma once

#include "absl/status/statusor.h"
#include "engine/model/model_config.h"
#include "trainer/device/device_trainer.h"
#include "trainer/layers/network_options.h"

namespace bitlm::trainer {

// `config` has passed CheckTrainable. Errors: INVALID_ARGUMENT naming what a device does not have.
absl::StatusOr<DeviceModel> DeviceModelOf(const ModelConfig& config, const NetworkShape& shape);

}  // namespace bitlm::trainer
