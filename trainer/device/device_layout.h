// Which parameter of a DeviceModel is which, in the order of Network::Parameters.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "trainer/device/device_trainer.h"

namespace bitlm::trainer {

inline constexpr size_t kNoParameter = static_cast<size_t>(-1);

// [rows, cols] in a device's memory.
struct DeviceParameter {
  int64_t rows = 0, cols = 0;
  int64_t offset = 0;   // Values before it.
  bool sparse = false;  // Only touched rows have gradients.
  float alpha = 0;      // Of a binary matrix, which is [-alpha, alpha]; 0 = float.

  int64_t size() const { return rows * cols; }
};

// A matrix with its bias and, if it is binary, its scales.
struct DeviceLinearLayer {
  size_t weight = kNoParameter, bias = kNoParameter, gamma = kNoParameter;

  bool present() const { return weight != kNoParameter; }
};

struct DeviceLstmLayer {
  size_t weight_x = kNoParameter, weight_h = kNoParameter, bias = kNoParameter,
         gamma = kNoParameter;
};

struct DeviceLayout {
  std::vector<DeviceParameter> parameters;
  size_t embedding = kNoParameter, embedding_gamma = kNoParameter;
  DeviceLinearLayer input_projection, output_projection;
  std::vector<DeviceLstmLayer> lstm;
  size_t table = kNoParameter, output_bias = kNoParameter;

  explicit DeviceLayout(const DeviceModel& model) {
    const int64_t h = model.hidden, e = model.embedding, v = model.vocabulary;
    const auto add = [&](int64_t rows, int64_t cols, DeviceMatrix kind = DeviceMatrix::kFloat) {
      parameters.push_back(
          {.rows = rows, .cols = cols, .alpha = kind == DeviceMatrix::kBinary ? model.alpha : 0});
      return parameters.size() - 1;
    };
    const auto add_linear = [&](int64_t rows, int64_t cols, DeviceMatrix kind) {
      DeviceLinearLayer layer;
      if (kind == DeviceMatrix::kNone) return layer;
      layer.weight = add(rows, cols, kind);
      layer.bias = add(1, cols);
      if (kind == DeviceMatrix::kBinary) layer.gamma = add(1, cols);
      return layer;
    };
    if (!model.tied) {
      embedding = add(v, e, model.embedding_table);
      parameters[embedding].sparse = true;
    }
    // A projection behind the embedding has scales of its own.
    const bool scaled = model.input_projection == DeviceMatrix::kNone;
    if (scaled && model.embedding_table == DeviceMatrix::kBinary) embedding_gamma = add(1, 1);
    input_projection = add_linear(e, h, model.input_projection);
    for (int layer = 0; layer < model.layers; ++layer) {
      DeviceLstmLayer at;
      at.weight_x = add(layer == 0 && scaled ? e : h, 4 * h, model.recurrent);
      at.weight_h = add(h, 4 * h, model.recurrent);
      at.bias = add(1, 4 * h);
      if (model.recurrent == DeviceMatrix::kBinary) at.gamma = add(1, 4 * h);
      lstm.push_back(at);
    }
    output_projection = add_linear(h, e, model.output_projection);
    table = add(e, v, model.output_table);
    if (model.tied) embedding = table;
    if (model.output_bias) output_bias = add(1, v);
  }
};

}  // namespace bitlm::trainer
