#include "engine/model/tensor.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <utility>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace bitlm {
namespace {

constexpr int64_t kBitsPerByte = 8;

// Collects the tensors of one config.
class SpecList {
 public:
  explicit SpecList(const ModelConfig& config) : config_(config) {}

  void Add(std::string name, DType dtype, std::vector<int64_t> shape) {
    const int64_t columns = shape.back();
    specs_.push_back({std::move(name), dtype, std::move(shape), columns});
  }

  // A weight and nothing else. Packed matrices get their leading plane dimension here.
  void AddWeight(const std::string& name, MatrixKind kind, int planes, int64_t rows,
                 int64_t columns) {
    switch (kind) {
      case MatrixKind::kFloat:
        return Add(name, DType::kF32, {rows, columns});
      case MatrixKind::kInt8:
        return Add(name, DType::kI8, {rows, columns});
      case MatrixKind::kBinary:
        Add(name, DType::kU8,
            WithPlanes(planes, {rows, (columns + kBitsPerByte - 1) / kBitsPerByte}));
        specs_.back().columns = columns;
        return;
      case MatrixKind::kNone:
      case MatrixKind::kTied:
        return;
    }
  }

  // The scale of a binary matrix.
  void AddScale(const std::string& name, int planes, int64_t size) {
    Add(name, DType::kF32, WithPlanes(planes, {size}));
  }

  void AddEmbedding(const std::string& name, MatrixKind kind, int64_t rows) {
    AddWeight(name + ".weight", kind, config_.bit_planes, rows, config_.embedding_size);
    const bool binary = kind == MatrixKind::kBinary ||
                        (kind == MatrixKind::kTied && config_.embedding == MatrixKind::kBinary);
    if (binary) AddScale(name + ".scale", config_.bit_planes, 1);
  }

  // y = scale * (W x) + bias ([LCY18] equation 9 and Algorithm 1).
  void AddProjection(const std::string& name, MatrixKind kind, int64_t rows, int64_t columns) {
    if (kind == MatrixKind::kNone) return;
    AddWeight(name + ".weight", kind, config_.ProjectionPlanes(), rows, columns);
    if (kind == MatrixKind::kBinary) {
      AddScale(name + ".scale", config_.ProjectionPlanes(),
               config_.scale == ScaleKind::kPerRow ? rows : 1);
    }
    Add(name + ".bias", DType::kF32, {rows});
  }

  void AddLstm(int layer) {
    const std::string name = absl::StrFormat("lstm.%d", layer);
    const int64_t rows = 4 * static_cast<int64_t>(config_.hidden_size);
    const int planes = config_.RecurrentPlanes();
    AddWeight(name + ".weight_x", config_.recurrent, planes, rows, config_.LstmInputSize(layer));
    AddWeight(name + ".weight_h", config_.recurrent, planes, rows, config_.hidden_size);
    if (config_.recurrent == MatrixKind::kBinary) {
      if (config_.scale == ScaleKind::kPerRow) {
        AddScale(name + ".scale", planes, rows);
      } else {
        AddScale(name + ".scale_x", planes, 1);
        AddScale(name + ".scale_h", planes, 1);
      }
    } else if (config_.recurrent == MatrixKind::kInt8) {
      Add(name + ".scale_x", DType::kF32, {rows});
      Add(name + ".scale_h", DType::kF32, {rows});
    }
    if (config_.norm != NormKind::kNone) {
      Add(name + ".gain_x", DType::kF32, {rows});
      Add(name + ".gain_h", DType::kF32, {rows});
    }
    if (config_.norm == NormKind::kLayer) {
      Add(name + ".gain_c", DType::kF32, {config_.hidden_size});
      Add(name + ".shift_c", DType::kF32, {config_.hidden_size});
    }
    Add(name + ".bias", DType::kF32, {rows});
  }

  std::vector<TensorSpec> Sorted() && {
    std::sort(specs_.begin(), specs_.end(),
              [](const TensorSpec& a, const TensorSpec& b) { return a.name < b.name; });
    return std::move(specs_);
  }

 private:
  static std::vector<int64_t> WithPlanes(int planes, std::vector<int64_t> shape) {
    if (planes > 1) shape.insert(shape.begin(), planes);
    return shape;
  }

  const ModelConfig& config_;
  std::vector<TensorSpec> specs_;
};

absl::Status CheckFinite(const TensorSpec& spec, const Tensor& tensor) {
  std::span<const float> values = tensor.f32();
  for (size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) {
      return absl::DataLossError(
          absl::StrFormat("tensor \"%s\": value %d is not finite", spec.name, i));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckPadding(const TensorSpec& spec, const Tensor& tensor) {
  const size_t row_bytes = static_cast<size_t>(spec.shape.back());
  const int used_bits = static_cast<int>(spec.columns - kBitsPerByte * (spec.shape.back() - 1));
  const unsigned padding = 0xFFu & ~((1u << used_bits) - 1);
  if (padding == 0) return absl::OkStatus();
  std::span<const uint8_t> values = tensor.u8();
  for (size_t last = row_bytes - 1; last < values.size(); last += row_bytes) {
    if ((values[last] & padding) != 0) {
      return absl::DataLossError(absl::StrFormat("tensor \"%s\": row %d: padding bits are not 0",
                                                 spec.name, last / row_bytes));
    }
  }
  return absl::OkStatus();
}

}  // namespace

std::string ShapeString(std::span<const int64_t> shape) {
  return absl::StrFormat("[%s]", absl::StrJoin(shape, ", "));
}

absl::Status CheckTensor(const TensorSpec& spec, const Tensor& tensor) {
  if (tensor.dtype != spec.dtype) {
    return absl::DataLossError(absl::StrFormat("tensor \"%s\": dtype %s, expected %s", spec.name,
                                               ToString(tensor.dtype), ToString(spec.dtype)));
  }
  if (tensor.shape != spec.shape) {
    return absl::DataLossError(absl::StrFormat("tensor \"%s\": shape %s, expected %s", spec.name,
                                               ShapeString(tensor.shape), ShapeString(spec.shape)));
  }
  if (tensor.bytes.size() != spec.bytes()) {
    return absl::DataLossError(absl::StrFormat("tensor \"%s\": %d bytes, expected %d", spec.name,
                                               tensor.bytes.size(), spec.bytes()));
  }
  switch (spec.dtype) {
    case DType::kF32:
      return CheckFinite(spec, tensor);
    case DType::kU8:
      return CheckPadding(spec, tensor);
    case DType::kI8:
      return absl::OkStatus();
  }
  return absl::OkStatus();
}

std::string_view ToString(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return "F32";
    case DType::kI8:
      return "I8";
    case DType::kU8:
      return "U8";
  }
  return "invalid";
}

size_t ElementBytes(DType dtype) { return dtype == DType::kF32 ? sizeof(float) : 1; }

int64_t Tensor::elements() const {
  int64_t product = 1;
  for (int64_t dimension : shape) product *= dimension;
  return product;
}

std::span<const float> Tensor::f32() const {
  assert(dtype == DType::kF32);
  return {reinterpret_cast<const float*>(bytes.data()), bytes.size() / sizeof(float)};
}
std::span<const uint8_t> Tensor::u8() const {
  assert(dtype == DType::kU8);
  return {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()};
}
std::span<const int8_t> Tensor::i8() const {
  assert(dtype == DType::kI8);
  return {reinterpret_cast<const int8_t*>(bytes.data()), bytes.size()};
}
std::span<float> Tensor::mutable_f32() {
  assert(dtype == DType::kF32);
  return {reinterpret_cast<float*>(bytes.data()), bytes.size() / sizeof(float)};
}
std::span<uint8_t> Tensor::mutable_u8() {
  assert(dtype == DType::kU8);
  return {reinterpret_cast<uint8_t*>(bytes.data()), bytes.size()};
}
std::span<int8_t> Tensor::mutable_i8() {
  assert(dtype == DType::kI8);
  return {reinterpret_cast<int8_t*>(bytes.data()), bytes.size()};
}

uint64_t TensorSpec::bytes() const {
  // Within the ranges of ValidateConfig a tensor has at most 2^42 bytes: no overflow.
  uint64_t total = ElementBytes(dtype);
  for (int64_t dimension : shape) total *= static_cast<uint64_t>(dimension);
  return total;
}

Tensor MakeTensor(DType dtype, std::vector<int64_t> shape) {
  Tensor tensor;
  tensor.dtype = dtype;
  tensor.shape = std::move(shape);
  tensor.bytes =
      AlignedBuffer<std::byte>(static_cast<size_t>(tensor.elements()) * ElementBytes(dtype));
  return tensor;
}

std::vector<TensorSpec> RequiredTensors(const ModelConfig& config) {
  SpecList list(config);
  const int64_t output_rows = config.OutputSize();
  list.AddEmbedding("embedding", config.embedding, config.vocabulary_size);
  list.AddProjection("input_projection", config.input_projection, config.hidden_size,
                     config.embedding_size);
  for (int layer = 0; layer < config.layers; ++layer) list.AddLstm(layer);
  list.AddProjection("output_projection", config.output_projection, config.embedding_size,
                     config.hidden_size);
  list.AddEmbedding("output_embedding", config.output_embedding, output_rows);
  if (config.output_bias) list.Add("output_bias", DType::kF32, {output_rows});
  return std::move(list).Sorted();
}

uint64_t WeightBytes(const ModelConfig& config) {
  uint64_t total = 0;
  for (const TensorSpec& spec : RequiredTensors(config)) total += spec.bytes();
  return total;
}

}  // namespace bitlm
