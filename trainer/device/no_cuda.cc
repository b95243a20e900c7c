// In the place of cuda_trainer.cu in a build without CUDA.

#include "trainer/device/device_trainer.h"

namespace bitlm::trainer {

std::unique_ptr<DeviceTrainer> MakeCudaTrainer(const DeviceModel& /*model*/,
                                               const DeviceOptions& /*options*/,
                                               std::string* error) {
  *error = "this build has no CUDA (-DBITLM_CUDA=ON)";
  return nullptr;
}

}  // namespace bitlm::trainer
