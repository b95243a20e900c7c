// The dropout masks of a step on a device: those of Network with the same key.
#pragma once

#include <cstddef>
#include <cstdint>

#include "trainer/device/device_lstm.h"
#include "trainer/device/device_trainer.h"
#include "trainer/device/functors.h"
#include "trainer/layers/network_options.h"

namespace bitlm::trainer {

class DeviceMasks {
 public:
  explicit DeviceMasks(const DeviceModel& model) : streams_(model.streams), layers_(model.layers) {}

  void set_key(uint64_t key) { key_ = key; }

  DeviceMask Words(const DropoutRates& dropout) const { return Mask(dropout.words, kWordMask, 0); }
  DeviceMask Input(const DropoutRates& dropout, size_t layer) const {
    return OfRows(layer == 0 ? dropout.input : dropout.hidden, dropout, layer);
  }
  DeviceMask Output(const DropoutRates& dropout) const {
    return OfRows(dropout.output, dropout, static_cast<uint64_t>(layers_));
  }
  DeviceMask Projection(const DropoutRates& dropout) const {
    return OfRows(dropout.projection, dropout, kProjectionMask);
  }
  DeviceLstmMasks Lstm(const DropoutRates& dropout, size_t layer) const {
    return {.state = Mask(dropout.state, kStateMask + layer, streams_),
            .recurrent = Mask(dropout.recurrent, kRecurrentMask + layer, 0)};
  }

 private:
  DeviceMask Mask(double rate, uint64_t number, int64_t period) const {
    DeviceMask mask;
    if (rate <= 0) return mask;
    mask.key = static_cast<uint32_t>(Combine(key_, number));
    mask.threshold = static_cast<uint32_t>(rate * 4294967296.0);
    mask.factor = static_cast<float>(1.0 / (1.0 - rate));
    mask.period = period;
    return mask;
  }
  DeviceMask OfRows(double rate, const DropoutRates& dropout, uint64_t number) const {
    return Mask(rate, number, dropout.variational ? streams_ : 0);
  }

  int64_t streams_;
  int layers_;
  uint64_t key_ = 0;
};

}  // namespace bitlm::trainer
