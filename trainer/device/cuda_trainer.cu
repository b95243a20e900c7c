#include <memory>
#include <string>
#include <utility>

#include "trainer/device/cuda_device.cuh"
#include "trainer/device/device_network.h"

namespace bitlm::trainer {
namespace {

template <typename Half>
std::unique_ptr<DeviceTrainer> Make(const DeviceModel& model, const DeviceOptions& options,
                                    std::string* error) {
  auto device = std::make_shared<const CudaDevice<Half>>();
  // Whether the build has code for the device shows in the first kernel.
  auto probe = device->template Make<float>(1);
  device->Each(1, DropActivations{.cols = 1, .mask = {}, .x = probe.data()});
  float value = 0;
  device->Download(probe.data(), 1, &value);
  *error = device->error();
  if (!error->empty()) return nullptr;
  auto network =
      std::make_unique<DeviceNetwork<CudaDevice<Half>>>(std::move(device), model, options);
  *error = network->error();
  if (!error->empty()) return nullptr;
  return network;
}

}  // namespace

std::unique_ptr<DeviceTrainer> MakeCudaTrainer(const DeviceModel& model,
                                               const DeviceOptions& options, std::string* error) {
  return options.bfloat16 ? Make<__nv_bfloat16>(model, options, error)
                          : Make<float>(model, options, error);
}

}  // namespace bitlm::trainer
