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
  int64_t offset = 0;      // Values before it.
  bool sparse = false;     // Only touched rows have gradients.
  float alpha = 0;         // Of a binary matrix with learned scales, which is in [-alpha, alpha].
  int planes = 0;          // Of one with fitted scales,
  bool by_column = false;  // and whether each column has its own.

  bool latent() const { return alpha > 0 || planes > 0; }
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
    const auto add = [&](int64_t rows, int64_t cols, DeviceMatrix kind = DeviceMatrix::kFloat,
                         int planes = 0, bool by_column = true) {
      const bool binary = kind == DeviceMatrix::kBinary;
      parameters.push_back({.rows = rows,
                            .cols = cols,
                            .alpha = binary && planes == 0 ? model.alpha : 0,
                            .planes = binary ? planes : 0,
                            .by_column = by_column});
      return parameters.size() - 1;
    };
    const auto learned = [](DeviceMatrix kind, int planes) {
      return kind == DeviceMatrix::kBinary && planes == 0;
    };
    const auto add_linear = [&](int64_t rows, int64_t cols, DeviceMatrix kind) {
      DeviceLinearLayer layer;
      if (kind == DeviceMatrix::kNone) return layer;
      layer.weight = add(rows, cols, kind, model.projection_planes);
      layer.bias = add(1, cols);
      if (learned(kind, model.projection_planes)) layer.gamma = add(1, cols);
      return layer;
    };
    if (!model.tied) {
      embedding = add(v, e, model.embedding_table, model.table_planes, /*by_column=*/false);
      parameters[embedding].sparse = true;
    }
    // A projection behind the embedding has scales of its own.
    const bool scaled = model.input_projection == DeviceMatrix::kNone;
    if (scaled && learned(model.embedding_table, model.table_planes)) embedding_gamma = add(1, 1);
    input_projection = add_linear(e, h, model.input_projection);
    for (int layer = 0; layer < model.layers; ++layer) {
      DeviceLstmLayer at;
      at.weight_x =
          add(layer == 0 && scaled ? e : h, 4 * h, model.recurrent, model.recurrent_planes);
      at.weight_h = add(h, 4 * h, model.recurrent, model.recurrent_planes);
      at.bias = add(1, 4 * h);
      if (learned(model.recurrent, model.recurrent_planes)) at.gamma = add(1, 4 * h);
      lstm.push_back(at);
    }
    output_projection = add_linear(h, e, model.output_projection);
    table = add(e, v, model.output_table, model.table_planes, /*by_column=*/false);
    if (model.tied) embedding = table;
    if (model.output_bias) output_bias = add(1, v);
  }
};

}  // namespace bitlm::trainer
