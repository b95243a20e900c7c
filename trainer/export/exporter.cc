#include "trainer/export/exporter.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>
#include <vector>

#include "engine/base/status.h"

namespace bitlm::trainer {
namespace {

// A [rows, cols] tensor, packed if the parameter is binary. `value(r, c)` is the entry.
template <typename Value>
Tensor MatrixTensor(bool binary, int64_t rows, int64_t cols, Value value) {
  if (!binary) {
    Tensor tensor = MakeTensor(DType::kF32, {rows, cols});
    auto out = tensor.mutable_f32();
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = 0; c < cols; ++c) out[static_cast<size_t>(r * cols + c)] = value(r, c);
    }
    return tensor;
  }
  const int64_t bytes = (cols + 7) / 8;
  Tensor tensor = MakeTensor(DType::kU8, {rows, bytes});
  auto out = tensor.mutable_u8();
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < cols; ++c) {
      if (value(r, c) > 0)
        out[static_cast<size_t>(r * bytes + c / 8)] |= static_cast<uint8_t>(1u << (c % 8));
    }
  }
  return tensor;
}

// A [rows, cols] tensor of planes, [planes, rows, cols] where there are several; `bits(r, c)` are
// the entry's in each plane.
template <typename Bits>
Tensor PlanesTensor(int planes, int64_t rows, int64_t cols, Bits bits) {
  const int64_t bytes = (cols + 7) / 8;
  std::vector<int64_t> shape{rows, bytes};
  if (planes > 1) shape.insert(shape.begin(), planes);
  Tensor tensor = MakeTensor(DType::kU8, shape);
  auto out = tensor.mutable_u8();
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < cols; ++c) {
      const unsigned of_planes = bits(r, c);
      for (int p = 0; p < planes; ++p) {
        out[static_cast<size_t>((p * rows + r) * bytes + c / 8)] |=
            static_cast<uint8_t>((of_planes >> p & 1u) << (c % 8));
      }
    }
  }
  return tensor;
}

// The transpose: models keep [outputs, inputs].
Tensor TransposedTensor(const Parameter<float>& p) {
  if (p.fitted()) {
    return PlanesTensor(p.planes, p.cols, p.rows, [&](int64_t r, int64_t c) {
      return p.levels[p.levels.size() == 1 ? 0 : static_cast<size_t>(r)].Bits(
          p.value[static_cast<size_t>(c * p.cols + r)]);
    });
  }
  return MatrixTensor(p.binary(), p.cols, p.rows, [&](int64_t r, int64_t c) {
    return p.value[static_cast<size_t>(c * p.cols + r)];
  });
}

Tensor VectorTensor(std::span<const float> values) {
  Tensor tensor = MakeTensor(DType::kF32, {static_cast<int64_t>(values.size())});
  std::copy(values.begin(), values.end(), tensor.mutable_f32().begin());
  return tensor;
}

Tensor VectorTensor(const Parameter<float>& p) { return VectorTensor(p.value.span()); }

Tensor ScalarTensor(float value) {
  Tensor tensor = MakeTensor(DType::kF32, {1});
  tensor.mutable_f32()[0] = value;
  return tensor;
}

Tensor ScaleTensor(const Parameter<float>& gamma, float alpha) {
  Tensor tensor = MakeTensor(DType::kF32, {gamma.cols});
  for (size_t i = 0; i < gamma.value.size(); ++i)
    tensor.mutable_f32()[i] = alpha * std::exp(gamma.value[i]);
  return tensor;
}

// [planes, groups], or [groups] of one plane.
Tensor FittedScaleTensor(const Parameter<float>& p) {
  const auto groups = static_cast<int64_t>(p.levels.size());
  std::vector<int64_t> shape{groups};
  if (p.planes > 1) shape.insert(shape.begin(), p.planes);
  Tensor tensor = MakeTensor(DType::kF32, shape);
  for (size_t plane = 0; plane < static_cast<size_t>(p.planes); ++plane) {
    for (size_t g = 0; g < p.levels.size(); ++g)
      tensor.mutable_f32()[plane * p.levels.size() + g] = p.levels[g].scale[plane];
  }
  return tensor;
}

void AddLinear(const std::string& name, LinearLayer<FastBackend>& layer, ThreadPool* pool,
               TensorMap* tensors) {
  const Parameter<float>& weight = layer.weight().parameter;
  (*tensors)[name + ".weight"] = TransposedTensor(weight);
  (*tensors)[name + ".bias"] = VectorTensor(layer.bias());
  if (layer.has_gamma()) {
    (*tensors)[name + ".scale"] = ScaleTensor(layer.gamma(), weight.alpha);
  } else if (layer.binary()) {
    (*tensors)[name + ".scale"] = ScalarTensor(MeanMagnitude(weight, pool));
  } else if (weight.fitted()) {
    (*tensors)[name + ".scale"] = FittedScaleTensor(weight);
  }
}

// Gains of W_x x and W_h h. A batch norm has its running statistics folded in:
// gain (y - mean) / deviation = gain' y - gain' mean with gain' = gain / deviation.
void AddGain(const std::string& input, const Parameter<float>& gain,
             const BatchNorm<float>* statistics, const std::string& name, TensorMap* tensors) {
  Tensor folded = VectorTensor(gain);
  const auto bias = tensors->at(name + ".bias").mutable_f32();
  for (int64_t j = 0; statistics != nullptr && j < gain.cols; ++j) {
    const auto at = static_cast<size_t>(j);
    folded.mutable_f32()[at] *= statistics->inverse(j);
    bias[at] -= folded.f32()[at] * statistics->mean(j);
  }
  (*tensors)[name + ".gain_" + input] = std::move(folded);
}

void AddLstm(const std::string& name, LstmLayer<FastBackend>& layer, ThreadPool* pool,
             TensorMap* tensors) {
  const Parameter<float>& x = layer.weight_x().parameter;
  const Parameter<float>& h = layer.weight_h().parameter;
  (*tensors)[name + ".weight_x"] = TransposedTensor(x);
  (*tensors)[name + ".weight_h"] = TransposedTensor(h);
  (*tensors)[name + ".bias"] =
      VectorTensor({layer.effective_bias(), static_cast<size_t>(layer.bias().cols)});
  if (layer.has_gamma()) {
    (*tensors)[name + ".scale"] = ScaleTensor(layer.gamma(), x.alpha);
  } else if (layer.binary()) {
    (*tensors)[name + ".scale_x"] = ScalarTensor(MeanMagnitude(x, pool));
    (*tensors)[name + ".scale_h"] = ScalarTensor(MeanMagnitude(h, pool));
  } else if (x.fitted()) {
    (*tensors)[name + ".scale"] = FittedScaleTensor(x);
  }
  LstmNorm<float>* norm = layer.norm();
  if (norm == nullptr) return;
  AddGain("x", norm->gain_x(), norm->batch_x(), name, tensors);
  AddGain("h", norm->gain_h(), norm->batch_h(), name, tensors);
  if (!norm->normalizes_cell()) return;
  (*tensors)[name + ".gain_c"] = VectorTensor(norm->gain_c());
  (*tensors)[name + ".shift_c"] = VectorTensor(norm->shift_c());
}

}  // namespace

absl::StatusOr<Model> ExportModel(Network<FastBackend>& network, const Vocabulary& vocabulary,
                                  const ModelMetadata& metadata) {
  network.Pack();  // Fits what is fitted.
  TensorMap tensors;
  ThreadPool* pool = network.pool();
  const Parameter<float>& table = network.embedding().table();
  const bool tied = network.embedding().tied();
  tensors["embedding.weight"] =
      tied ? TransposedTensor(table)
      : table.fitted()
          ? PlanesTensor(
                table.planes, table.rows, table.cols,
                [&](int64_t r, int64_t c) {
                  return table.levels[0].Bits(table.value[static_cast<size_t>(r * table.cols + c)]);
                })
          : MatrixTensor(table.binary(), table.rows, table.cols, [&](int64_t r, int64_t c) {
              return table.value[static_cast<size_t>(r * table.cols + c)];
            });
  if (table.binary()) tensors["embedding.scale"] = ScalarTensor(network.embedding().Scale());
  if (table.fitted()) tensors["embedding.scale"] = FittedScaleTensor(table);
  if (auto* layer = network.input_projection())
    AddLinear("input_projection", *layer, pool, &tensors);
  for (size_t l = 0; l < network.lstm().size(); ++l) {
    AddLstm("lstm." + std::to_string(l), *network.lstm()[l], pool, &tensors);
  }
  if (auto* layer = network.output_projection())
    AddLinear("output_projection", *layer, pool, &tensors);
  const OutputWeights<float> output = network.output().weights();
  if (!tied) tensors["output_embedding.weight"] = TransposedTensor(*output.table);
  if (output.table->binary()) tensors["output_embedding.scale"] = ScalarTensor(output.factor);
  if (output.table->fitted()) tensors["output_embedding.scale"] = FittedScaleTensor(*output.table);
  if (output.bias != nullptr) tensors["output_bias"] = VectorTensor(*output.bias);
  return Model{.config = network.config(),
               .metadata = metadata,
               .vocabulary = vocabulary,
               .tensors = std::move(tensors),
               .golden = {}};
}

}  // namespace bitlm::trainer
