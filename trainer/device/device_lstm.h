// An LSTM layer on a device: LstmLayer of lstm.h, float or binary with scales per row.
#pragma once

#include <cstdint>

#include "trainer/device/device_parameters.h"
#include "trainer/device/device_products.h"
#include "trainer/device/device_trainer.h"
#include "trainer/device/functors.h"
#include "trainer/device/lstm_functors.h"

namespace bitlm::trainer {

// The masks of a step that a layer has of its own.
struct DeviceLstmMasks {
  DeviceMask state, recurrent;
};

template <typename Device>
class DeviceLstm {
 public:
  using Half = typename Device::Half;
  template <typename T>
  using Buffer = typename Device::template Buffer<T>;

  // All have to outlive this. `trains` = Backward will be called.
  DeviceLstm(const Device& device, const DeviceModel& model, const DeviceLstmLayer& at,
             DeviceParameters<Device>* parameters, DeviceProducts<Device>* products, bool trains)
      : device_(device),
        at_(at),
        parameters_(*parameters),
        products_(*products),
        streams_(model.streams),
        steps_(model.steps),
        hidden_(model.hidden) {
    const int64_t rows = products->rows(), h = hidden_;
    x_ = device.template Make<Half>(rows * parameters->matrix(at.weight_x).rows);
    h_in_ = device.template Make<Half>(rows * h);
    gates_ = device.template Make<float>(rows * 4 * h);
    c_ = device.template Make<float>(rows * h + StateSize());
    h_ = device.template Make<float>(rows * h + StateSize());
    if (!trains) return;
    gate_gradient_ = device.template Make<Half>(rows * 4 * h);
    carried_h_ = device.template Make<float>(StateSize());
    carried_c_ = device.template Make<float>(StateSize());
  }

  int64_t StateSize() const { return streams_ * hidden_; }
  Half* x() { return x_.data(); }                       // [rows, inputs], set before Forward.
  const float* h() { return h_.data() + StateSize(); }  // [rows, H]

  void Pack(DeviceArray array, const DeviceLstmMasks& masks) {
    parameters_.PackTogether(at_.weight_x, at_.weight_h, array, masks.recurrent);
  }

  // `state`: h, then c, [B, H] each, before the segment and after it.
  void Forward(DeviceArray array, const int32_t* resets, const DeviceLstmMasks& masks,
               float* state) {
    const int64_t h = hidden_, size = StateSize();
    device_.Copy(state, size, h_.data());
    device_.Copy(state + size, size, c_.data());
    products_.Forward(products_.rows(), x_.data(), at_.weight_x, gates_.data());
    device_.Each(size, BeginSegment<Half>{.h = h_.data(),
                                          .resets = resets,
                                          .state_mask = masks.state,
                                          .hidden = h,
                                          .h_in = h_in_.data()});
    for (int64_t t = 0; t < steps_; ++t) {
      const int64_t row = t * streams_, next = row + streams_;
      products_.Forward(streams_, h_in_.data() + row * h, at_.weight_h, gates_.data() + row * 4 * h,
                        /*accumulate=*/true);
      device_.Each(size, CellForward<Half>{
                             .streams = streams_,
                             .hidden = h,
                             .row = row,
                             .resets = resets,
                             .bias = parameters_.At(array, at_.bias),
                             .scale = products_.Scale(at_.weight_h, at_.gamma, array),
                             .state_mask = masks.state,
                             .gates = gates_.data(),
                             .c_before = c_.data() + row * h,
                             .c = c_.data() + next * h,
                             .h = h_.data() + next * h,
                             .h_in_next = t + 1 == steps_ ? nullptr : h_in_.data() + next * h});
    }
    device_.Copy(h_.data() + products_.rows() * h, size, state);
    device_.Copy(c_.data() + products_.rows() * h, size, state + size);
  }

  // gradient [rows, H] of the layer's output becomes that of its input, [rows, inputs].
  void Backward(const int32_t* resets, const DeviceLstmMasks& masks, float* gradient) {
    const int64_t h = hidden_;
    const ColumnScale scale = products_.Scale(at_.weight_h, at_.gamma, DeviceArray::kValue);
    for (int64_t t = steps_ - 1; t >= 0; --t) {
      const int64_t row = t * streams_;
      device_.Each(StateSize(), CellBackward<Half>{.streams = streams_,
                                                   .hidden = h,
                                                   .row = row,
                                                   .last = t + 1 == steps_,
                                                   .resets = resets,
                                                   .scale = scale,
                                                   .state_mask = masks.state,
                                                   .gates = gates_.data(),
                                                   .c_before = c_.data() + row * h,
                                                   .c = c_.data() + (row + streams_) * h,
                                                   .h_gradient = gradient,
                                                   .carried_h = carried_h_.data(),
                                                   .carried_c = carried_c_.data(),
                                                   .gate_gradient = gate_gradient_.data()});
      if (t == 0) break;
      products_.Backward(streams_, gate_gradient_.data() + row * 4 * h, at_.weight_h,
                         carried_h_.data());
    }
    products_.MatrixGradient(at_.weight_x, x_.data(), gate_gradient_.data());
    products_.MatrixGradient(at_.weight_h, h_in_.data(), gate_gradient_.data());
    if (masks.recurrent.on()) {
      device_.Each(
          parameters_.matrix(at_.weight_h).size(),
          DropActivations{
              .cols = 4 * h, .mask = masks.recurrent, .x = parameters_.gradient(at_.weight_h)});
    }
    products_.BiasGradient(at_.bias, gate_gradient_.data(), scale);
    products_.ScaleGradient(at_.gamma, at_.weight_x, at_.weight_h);
    products_.Backward(products_.rows(), gate_gradient_.data(), at_.weight_x, gradient);
  }

 private:
  const Device& device_;
  DeviceLstmLayer at_;
  DeviceParameters<Device>& parameters_;
  DeviceProducts<Device>& products_;
  int64_t streams_, steps_, hidden_;
  Buffer<Half> x_, h_in_, gate_gradient_;
  Buffer<float> gates_;  // Products, then activations.
  Buffer<float> c_, h_;  // [T + 1, B, H]: of before the segment, then after each step.
  Buffer<float> carried_h_, carried_c_;
};

}  // namespace bitlm::trainer
