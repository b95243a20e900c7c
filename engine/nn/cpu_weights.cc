#include "engine/nn/cpu_weights.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <span>
#include <string>

#include "absl/strings/str_format.h"
#include "engine/base/status.h"
#include "engine/kernels/pack/pack.h"
#include "engine/kernels/panel.h"

namespace bitlm {
namespace {

absl::Status CheckFinite(const TensorMap& tensors) {
  for (const auto& [name, tensor] : tensors) {
    if (tensor.dtype != DType::kF32) continue;
    const std::span<const float> values = tensor.f32();
    for (size_t i = 0; i < values.size(); ++i) {
      if (!std::isfinite(values[i])) {
        return absl::DataLossError(
            absl::StrFormat("tensor \"%s\": value %d is not a finite number", name, i));
      }
    }
  }
  return absl::OkStatus();
}

class Packer {
 public:
  explicit Packer(const TensorMap& tensors) : tensors_(tensors) {}

  PackedMatrix Matrix(const std::string& name, MatrixKind kind, size_t rows, size_t columns) const {
    PackedMatrix matrix{.kind = kind, .rows = rows, .columns = columns, .floats = {}, .words = {}};
    const Tensor& tensor = tensors_.at(name);
    if (kind == MatrixKind::kFloat) {
      matrix.floats = AlignedBuffer<float>(FloatPanelValues(rows, columns));
      PackFloatPanels(tensor.f32().data(), rows, columns, matrix.floats.data());
    } else {
      matrix.words = AlignedBuffer<uint64_t>(BinaryPanelWords(rows, columns));
      PackBinaryPanels(tensor.u8().data(), rows, columns, matrix.words.data());
    }
    return matrix;
  }

  // A vector of one value a row, padded to whole panels with zeros.
  AlignedBuffer<float> Rows(const std::string& name) const {
    const std::span<const float> values = tensors_.at(name).f32();
    AlignedBuffer<float> padded(RoundUp(values.size(), kPanelRows));
    std::copy(values.begin(), values.end(), padded.begin());
    return padded;
  }

  float Scalar(const std::string& name) const { return tensors_.at(name).f32()[0]; }

  LinearWeights Linear(const std::string& name, MatrixKind kind, size_t rows,
                       size_t columns) const {
    LinearWeights linear;
    if (kind == MatrixKind::kNone) return linear;
    linear.matrix = Matrix(name + ".weight", kind, rows, columns);
    if (kind == MatrixKind::kBinary) linear.row_scales = Rows(name + ".scale");
    linear.bias = Rows(name + ".bias");
    return linear;
  }

  EmbeddingTable Embedding(MatrixKind kind, size_t columns) const {
    EmbeddingTable table;
    table.kind = kind;
    table.columns = columns;
    const Tensor& tensor = tensors_.at("embedding.weight");
    if (kind == MatrixKind::kFloat) {
      table.floats = AlignedBuffer<float>(tensor.f32().size());
      std::copy(tensor.f32().begin(), tensor.f32().end(), table.floats.begin());
    } else {
      table.bits = AlignedBuffer<uint8_t>(tensor.u8().size());
      std::copy(tensor.u8().begin(), tensor.u8().end(), table.bits.begin());
      table.scale = Scalar("embedding.scale");
    }
    return table;
  }

  LstmWeights Lstm(const ModelConfig& config, int layer) const {
    const std::string prefix = absl::StrFormat("lstm.%d.", layer);
    const size_t hidden = static_cast<size_t>(config.hidden_size);
    const size_t input = static_cast<size_t>(config.LstmInputSize(layer));
    LstmWeights lstm;
    lstm.x = Matrix(prefix + "weight_x", config.recurrent, 4 * hidden, input);
    lstm.h = Matrix(prefix + "weight_h", config.recurrent, 4 * hidden, hidden);
    if (config.recurrent == MatrixKind::kBinary) lstm.row_scales = Rows(prefix + "scale");
    lstm.bias = Rows(prefix + "bias");
    return lstm;
  }

 private:
  const TensorMap& tensors_;
};

template <typename T>
uint64_t Bytes(const AlignedBuffer<T>& buffer) {
  return buffer.size() * sizeof(T);
}

uint64_t ScaleBytes(MatrixKind kind) { return kind == MatrixKind::kBinary ? sizeof(float) : 0; }

}  // namespace

size_t PackedMatrix::row_panels() const { return CeilDiv(rows, kPanelRows); }
size_t PackedMatrix::groups() const { return CeilDiv(columns, kGroupColumns); }
uint64_t PackedMatrix::bytes() const { return Bytes(floats) + Bytes(words); }

void EmbeddingTable::Row(TokenId token, float* values) const {
  const size_t row = static_cast<size_t>(token);
  if (kind == MatrixKind::kFloat) {
    std::memcpy(values, floats.data() + row * columns, columns * sizeof(float));
    return;
  }
  const uint8_t* packed = bits.data() + row * CeilDiv(columns, 8);
  for (size_t k = 0; k < columns; ++k) {
    values[k] = ((packed[k / 8] >> (k % 8)) & 1) != 0 ? scale : -scale;
  }
}

void EmbeddingTable::Signs(TokenId token, int8_t* signs) const {
  UnpackSigns(bits.data() + static_cast<size_t>(token) * CeilDiv(columns, 8), columns, signs);
}

uint64_t EmbeddingTable::bytes() const { return Bytes(floats) + Bytes(bits) + ScaleBytes(kind); }
uint64_t LinearWeights::bytes() const { return matrix.bytes() + Bytes(row_scales) + Bytes(bias); }
uint64_t LstmWeights::bytes() const {
  return x.bytes() + h.bytes() + Bytes(row_scales) + Bytes(bias);
}
uint64_t OutputWeights::bytes() const {
  return matrix.bytes() + Bytes(bias) + ScaleBytes(matrix.kind);
}

uint64_t CpuWeights::bytes() const {
  uint64_t total =
      embedding.bytes() + input_projection.bytes() + output_projection.bytes() + output.bytes();
  for (const LstmWeights& layer : lstm) total += layer.bytes();
  return total;
}

absl::StatusOr<CpuWeights> PackWeights(const Model& model) {
  BITLM_RETURN_IF_ERROR(CheckFinite(model.tensors));
  const ModelConfig& config = model.config;
  const size_t hidden = static_cast<size_t>(config.hidden_size);
  const size_t embedding = static_cast<size_t>(config.embedding_size);
  const size_t vocabulary = static_cast<size_t>(config.vocabulary_size);
  const Packer packer(model.tensors);
  CpuWeights weights;
  weights.embedding = packer.Embedding(config.embedding, embedding);
  weights.input_projection =
      packer.Linear("input_projection", config.input_projection, hidden, embedding);
  for (int layer = 0; layer < config.layers; ++layer) {
    weights.lstm.push_back(packer.Lstm(config, layer));
  }
  weights.output_projection =
      packer.Linear("output_projection", config.output_projection, embedding, hidden);
  weights.output.matrix =
      packer.Matrix("output_embedding.weight", config.output_embedding, vocabulary, embedding);
  if (config.output_embedding == MatrixKind::kBinary) {
    weights.output.scale = packer.Scalar("output_embedding.scale");
  }
  if (config.output_bias) weights.output.bias = packer.Rows("output_bias");
  return weights;
}

}  // namespace bitlm
