// Products of activations and parameters, forward and back, of a device's network.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "trainer/device/device_parameters.h"
#include "trainer/device/functors.h"
#include "trainer/device/host_device.h"

namespace bitlm::trainer {

template <typename Device>
class DeviceProducts {
 public:
  using Half = typename Device::Half;

  // `rows` of activations; all have to outlive this.
  DeviceProducts(const Device& device, DeviceParameters<Device>* parameters, int64_t rows)
      : device_(device),
        parameters_(*parameters),
        rows_(rows),
        ones_(device.template Make<Half>(rows)) {
    const std::vector<Half> ones(static_cast<size_t>(rows), static_cast<Half>(1.0f));
    device.Upload(ones.data(), rows, ones_.data());
  }

  int64_t rows() const { return rows_; }

  // alpha of a binary matrix, 1 of a float one.
  float Factor(size_t matrix) const {
    const float alpha = parameters_.matrix(matrix).alpha;
    return alpha > 0 ? alpha : 1.0f;
  }
  // Of a matrix' products, with its gamma (kNoParameter = none).
  ColumnScale Scale(size_t matrix, size_t gamma, DeviceArray array) {
    return {.alpha = Factor(matrix),
            .gamma = gamma == kNoParameter ? nullptr : parameters_.At(array, gamma)};
  }

  // c (+)= a W for `count` rows, W as its operand: signs without alpha.
  void Forward(int64_t count, const Half* a, size_t matrix, float* c, bool accumulate = false,
               float scale = 1) {
    const DeviceParameter& m = parameters_.matrix(matrix);
    device_.Multiply(DeviceProduct<Half>{.m = count,
                                         .n = m.cols,
                                         .k = m.rows,
                                         .a = a,
                                         .a_stride = m.rows,
                                         .transpose_a = false,
                                         .b = parameters_.operand(matrix),
                                         .b_stride = m.cols,
                                         .transpose_b = false,
                                         .c = c,
                                         .c_stride = m.cols,
                                         .accumulate = accumulate,
                                         .scale = scale});
  }
  // c = a W^T, with alpha.
  void Backward(int64_t count, const Half* a, size_t matrix, float* c) {
    Backward(count, a, matrix, c, Factor(matrix));
  }
  // c = factor * a W^T, W as its operand.
  void Backward(int64_t count, const Half* a, size_t matrix, float* c, float factor) {
    const DeviceParameter& m = parameters_.matrix(matrix);
    device_.Multiply(DeviceProduct<Half>{.m = count,
                                         .n = m.rows,
                                         .k = m.cols,
                                         .a = a,
                                         .a_stride = m.cols,
                                         .transpose_a = false,
                                         .b = parameters_.operand(matrix),
                                         .b_stride = m.cols,
                                         .transpose_b = true,
                                         .c = c,
                                         .c_stride = m.rows,
                                         .accumulate = false,
                                         .scale = factor});
  }
  // The gradient of a matrix: x^T y.
  void MatrixGradient(size_t matrix, const Half* x, const Half* y) {
    const DeviceParameter& m = parameters_.matrix(matrix);
    device_.Multiply(DeviceProduct<Half>{.m = m.rows,
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
  // Of a bias, from the gradient y of what is in front of the scale.
  void BiasGradient(size_t bias, const Half* y, const ColumnScale& scale = {}) {
    const int64_t cols = parameters_.matrix(bias).cols;
    device_.Multiply(DeviceProduct<Half>{.m = 1,
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
    if (scale.gamma != nullptr)
      device_.Each(cols, UnscaleBias{.scale = scale, .gradient = parameters_.gradient(bias)});
  }
  // Of the scales (kNoParameter = none) of one or two matrices whose gradients are there.
  void ScaleGradient(size_t gamma, size_t matrix, size_t other = kNoParameter) {
    if (gamma == kNoParameter) return;
    GammaGradient sum{.value = {nullptr, nullptr},
                      .gradient = {nullptr, nullptr},
                      .rows = {0, 0},
                      .cols = parameters_.matrix(gamma).cols,
                      .alpha = Factor(matrix),
                      .gamma_gradient = parameters_.gradient(gamma)};
    int count = 0;
    for (const size_t m : {matrix, other}) {
      if (m == kNoParameter) continue;
      sum.value[count] = parameters_.At(DeviceArray::kValue, m);
      sum.gradient[count] = parameters_.gradient(m);
      sum.rows[count++] = parameters_.matrix(m).rows;
    }
    device_.Each(sum.cols, sum);
  }

  // y = ((x W) * scale + b) * mask; `products` [rows, cols] is scratch.
  void LinearForward(const DeviceLinearLayer& layer, const Half* x, DeviceArray array,
                     const DeviceMask& mask, float* products, Half* y) {
    Forward(rows_, x, layer.weight, products);
    const int64_t cols = parameters_.matrix(layer.weight).cols;
    device_.Each(rows_ * cols,
                 CastActivations<Half>{.from = products,
                                       .scale = Scale(layer.weight, layer.gamma, array),
                                       .bias = parameters_.At(array, layer.bias),
                                       .cols = cols,
                                       .mask = mask,
                                       .to = y});
  }
  // From the gradient of y [rows, cols] that of x [rows, inputs], in its place, and the
  // parameters'. `product_gradient` [rows, cols] is scratch, and may be y.
  void LinearBackward(const DeviceLinearLayer& layer, const Half* x, const DeviceMask& mask,
                      Half* product_gradient, float* gradient) {
    const ColumnScale scale = Scale(layer.weight, layer.gamma, DeviceArray::kValue);
    const int64_t cols = parameters_.matrix(layer.weight).cols;
    device_.Each(
        rows_ * cols,
        CastGradient<Half>{
            .from = gradient, .scale = scale, .cols = cols, .mask = mask, .to = product_gradient});
    MatrixGradient(layer.weight, x, product_gradient);
    BiasGradient(layer.bias, product_gradient, scale);
    ScaleGradient(layer.gamma, layer.weight);
    Backward(rows_, product_gradient, layer.weight, gradient);
  }

 private:
  const Device& device_;
  DeviceParameters<Device>& parameters_;
  int64_t rows_;
  typename Device::template Buffer<Half> ones_;  // [rows]
};

}  // namespace bitlm::trainer
