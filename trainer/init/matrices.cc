#include "trainer/init/matrices.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "trainer/tensor/float_product.h"

namespace bitlm::trainer {
namespace {

Model WithoutTensors(const Model& model) {
  return {.config = model.config,
          .metadata = model.metadata,
          .vocabulary = model.vocabulary,
          .tensors = {},
          .golden = {}};
}

}  // namespace

Values EffectiveMatrix(const Model& model, const std::string& matrix, const std::string& scale,
                       size_t columns) {
  const Tensor& tensor = model.tensors.at(matrix);
  if (tensor.dtype == DType::kF32) return {tensor.f32().begin(), tensor.f32().end()};
  const auto bits = tensor.u8();
  const auto scales = model.tensors.at(scale).f32();
  const auto planes = static_cast<size_t>(PlanesOf(tensor));
  const size_t groups = scales.size() / planes;
  const size_t bytes = (columns + 7) / 8;
  const size_t rows = bits.size() / bytes / planes;
  Values values(rows * columns);
  for (size_t p = 0; p < planes; ++p) {
    for (size_t r = 0; r < rows; ++r) {
      const float magnitude = scales[p * groups + (groups == 1 ? 0 : r)];
      for (size_t c = 0; c < columns; ++c) {
        const bool plus = (bits[(p * rows + r) * bytes + c / 8] >> (c % 8) & 1) != 0;
        values[r * columns + c] += plus ? magnitude : -magnitude;
      }
    }
  }
  return values;
}

Values VectorOf(const Model& model, const std::string& name) {
  const auto values = model.tensors.at(name).f32();
  return {values.begin(), values.end()};
}

Values Transposed(std::span<const float> values, size_t columns) {
  const size_t rows = values.size() / columns;
  Values out(values.size());
  for (size_t r = 0; r < rows; ++r) {
    for (size_t c = 0; c < columns; ++c) out[c * rows + r] = values[r * columns + c];
  }
  return out;
}

double MeanMagnitude(std::span<const float> values) {
  double sum = 0;
  for (const float x : values) sum += std::fabs(x);
  return values.empty() ? 0 : sum / static_cast<double>(values.size());
}

Values TimesTransposed(std::span<const float> a, std::span<const float> b, size_t n,
                       ThreadPool* pool) {
  Values out(a.size() / n * (b.size() / n));
  Multiply({.transpose_b = true}, a, b, static_cast<int64_t>(n), pool, out);
  return out;
}

Tensor FloatTensor(std::span<const float> values, std::vector<int64_t> shape) {
  Tensor tensor = MakeTensor(DType::kF32, std::move(shape));
  std::copy(values.begin(), values.end(), tensor.mutable_f32().begin());
  return tensor;
}

Model Untied(const Model& model) {
  Model result = WithoutTensors(model);
  for (const auto& [name, tensor] : model.tensors) result.tensors[name] = CopyOf(tensor);
  result.config.output_embedding = MatrixKind::kFloat;
  result.tensors["output_embedding.weight"] = CopyOf(model.tensors.at("embedding.weight"));
  return result;
}

Model FloatModel(const Model& model) {
  Model result = WithoutTensors(model);
  ModelConfig& config = result.config;
  const bool tied = config.output_embedding == MatrixKind::kTied;
  for (MatrixKind* kind : {&config.embedding, &config.output_embedding, &config.input_projection,
                           &config.output_projection, &config.recurrent}) {
    if (*kind == MatrixKind::kBinary) *kind = MatrixKind::kFloat;
  }
  config.bit_planes = 1;
  config.recurrent_planes = config.projection_planes = 0;
  for (const TensorSpec& spec : RequiredTensors(config)) {
    const Tensor& from = model.tensors.at(spec.name);
    const size_t dot = spec.name.rfind('.');
    std::string scale = spec.name.substr(0, dot) + ".scale";
    // W_x and W_h with a scale each: scale_x, scale_h.
    if (!model.tensors.contains(scale)) scale += spec.name.substr(spec.name.size() - 2);
    result.tensors[spec.name] =
        from.dtype == DType::kU8 ? FloatTensor(EffectiveMatrix(model, spec.name, scale,
                                                               static_cast<size_t>(spec.columns)),
                                               spec.shape)
                                 : CopyOf(from);
  }
  if (!tied || model.config.embedding != MatrixKind::kBinary) return result;
  // The table's other scale, for logits.
  const float ratio = model.tensors.at("output_embedding.scale").f32()[0] /
                      model.tensors.at("embedding.scale").f32()[0];
  if (config.output_projection != MatrixKind::kNone) {
    for (const char* name : {"output_projection.weight", "output_projection.bias"}) {
      for (float& x : result.tensors.at(name).mutable_f32()) x *= ratio;
    }
  } else if (ratio != 1) {
    result = Untied(result);
    for (float& x : result.tensors.at("output_embedding.weight").mutable_f32()) x *= ratio;
  }
  return result;
}

Tensor CopyOf(const Tensor& tensor) {
  Tensor copy = MakeTensor(tensor.dtype, tensor.shape);
  std::copy(tensor.bytes.begin(), tensor.bytes.end(), copy.bytes.begin());
  return copy;
}

}  // namespace bitlm::trainer
