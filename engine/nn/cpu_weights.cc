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
#include "engine/nn/scratch.h"

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

  PackedMatrix Matrix(const std::string& name, MatrixKind kind, int bit_planes, size_t rows,
                      size_t columns, bool sign_inputs = false) const {
    const auto planes = static_cast<size_t>(kind == MatrixKind::kBinary ? bit_planes : 1);
    PackedMatrix matrix{.kind = kind,
                        .rows = rows,
                        .columns = columns,
                        .floats = {},
                        .words = {},
                        .planes = planes,
                        .sign_inputs = sign_inputs && kind == MatrixKind::kBinary,
                        .int8s = {}};
    const Tensor& tensor = tensors_.at(name);
    if (kind == MatrixKind::kFloat) {
      matrix.floats = AlignedBuffer<float>(FloatPanelValues(rows, columns));
      PackFloatPanels(tensor.f32().data(), rows, columns, matrix.floats.data());
    } else if (kind == MatrixKind::kInt8) {
      matrix.int8s = AlignedBuffer<uint8_t>(Int8PanelBytes(rows, columns));
      PackInt8Panels(tensor.i8().data(), rows, columns, matrix.int8s.data());
    } else {
      const size_t words =
          matrix.sign_inputs ? SignPanelWords(rows, columns) : BinaryPanelWords(rows, columns);
      const size_t plane_bytes = rows * CeilDiv(columns, 8);
      const auto pack = matrix.sign_inputs ? &PackSignPanels : &PackBinaryPanels;
      matrix.words = AlignedBuffer<uint64_t>(planes * words);
      for (size_t plane = 0; plane < planes; ++plane) {
        pack(tensor.u8().data() + plane * plane_bytes, rows, columns,
             matrix.words.data() + plane * words);
      }
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

  // A scale of each row, or one for all, as one of each row; of each plane.
  AlignedBuffer<float> Scales(const std::string& name, size_t rows, size_t planes) const {
    const std::span<const float> values = tensors_.at(name).f32();
    const size_t padded = RoundUp(rows, kPanelRows);
    const bool shared = values.size() == planes;
    AlignedBuffer<float> scales(planes * padded);
    for (size_t plane = 0; plane < planes; ++plane) {
      for (size_t r = 0; r < rows; ++r) {
        scales[plane * padded + r] = values[shared ? plane : plane * rows + r];
      }
    }
    return scales;
  }

  // Those of a whole binary matrix: [planes].
  AlignedBuffer<float> PlaneScales(const std::string& name) const {
    const std::span<const float> values = tensors_.at(name).f32();
    AlignedBuffer<float> scales(values.size());
    std::copy(values.begin(), values.end(), scales.begin());
    return scales;
  }

  LinearWeights Linear(const std::string& name, MatrixKind kind, int bit_planes, size_t rows,
                       size_t columns, bool sign_inputs = false) const {
    LinearWeights linear;
    if (kind == MatrixKind::kNone) return linear;
    linear.matrix = Matrix(name + ".weight", kind, bit_planes, rows, columns, sign_inputs);
    if (kind == MatrixKind::kBinary) {
      linear.row_scales = Scales(name + ".scale", rows, linear.matrix.planes);
    }
    linear.bias = Rows(name + ".bias");
    return linear;
  }

  EmbeddingTable Embedding(MatrixKind kind, size_t columns, bool tied) const {
    EmbeddingTable table;
    table.kind = kind;
    table.columns = columns;
    table.tied = tied;
    if (kind == MatrixKind::kBinary) table.scales = PlaneScales("embedding.scale");
    if (tied) return table;
    const Tensor& tensor = tensors_.at("embedding.weight");
    if (kind == MatrixKind::kFloat) {
      table.floats = AlignedBuffer<float>(tensor.f32().size());
      std::copy(tensor.f32().begin(), tensor.f32().end(), table.floats.begin());
    } else {
      table.bits = AlignedBuffer<uint8_t>(tensor.u8().size());
      std::copy(tensor.u8().begin(), tensor.u8().end(), table.bits.begin());
    }
    return table;
  }

  LstmWeights Lstm(const ModelConfig& config, int layer) const {
    const std::string prefix = absl::StrFormat("lstm.%d.", layer);
    const size_t hidden = static_cast<size_t>(config.hidden_size);
    const size_t input = static_cast<size_t>(config.LstmInputSize(layer));
    LstmWeights lstm;
    const bool signs = config.activation == ActivationKind::kSign;
    const int planes = config.RecurrentPlanes();
    lstm.x = Matrix(prefix + "weight_x", config.recurrent, planes, 4 * hidden, input, signs);
    lstm.h = Matrix(prefix + "weight_h", config.recurrent, planes, 4 * hidden, hidden, signs);
    if (config.recurrent != MatrixKind::kFloat) {
      const bool shared = config.SharesGateScales();
      lstm.row_scales = Scales(prefix + (shared ? "scale" : "scale_x"), 4 * hidden, lstm.x.planes);
      if (!shared || config.norm != NormKind::kNone) {
        lstm.h_row_scales =
            Scales(prefix + (shared ? "scale" : "scale_h"), 4 * hidden, lstm.h.planes);
      }
    }
    lstm.bias = Rows(prefix + "bias");
    if (config.norm == NormKind::kBatch) {
      ApplyGain(Rows(prefix + "gain_x"), &lstm.x, &lstm.row_scales);
      ApplyGain(Rows(prefix + "gain_h"), &lstm.h, &lstm.h_row_scales);
    } else if (config.norm == NormKind::kLayer) {
      lstm.x_gain = Rows(prefix + "gain_x");
      lstm.h_gain = Rows(prefix + "gain_h");
      lstm.c_gain = Rows(prefix + "gain_c");
      lstm.c_shift = Rows(prefix + "shift_c");
    }
    return lstm;
  }

 private:
  // A batch norm's gain is a factor of each row: of the scales, or of a float matrix's values.
  static void ApplyGain(const AlignedBuffer<float>& gain, PackedMatrix* matrix,
                        AlignedBuffer<float>* scales) {
    for (size_t r = 0; r < scales->size(); ++r) (*scales)[r] *= gain[r % gain.size()];
    for (size_t i = 0; i < matrix->floats.size(); ++i) {
      const size_t panel = i / (matrix->columns * kPanelRows);
      matrix->floats[i] *= gain[panel * kPanelRows + i % kPanelRows];
    }
  }

  const TensorMap& tensors_;
};

template <typename T>
uint64_t Bytes(const AlignedBuffer<T>& buffer) {
  return buffer.size() * sizeof(T);
}

}  // namespace

size_t PackedMatrix::row_panels() const { return CeilDiv(rows, kPanelRows); }
size_t PackedMatrix::groups() const { return CeilDiv(columns, kGroupColumns); }
uint64_t PackedMatrix::bytes() const { return Bytes(floats) + Bytes(words) + Bytes(int8s); }

void PackedMatrix::FloatRow(size_t row, float* values) const {
  const float* panel = floats.data() + row / kPanelRows * columns * kPanelRows + row % kPanelRows;
  for (size_t k = 0; k < columns; ++k) values[k] = panel[k * kPanelRows];
}

void PackedMatrix::BitRow(size_t plane, size_t row, uint64_t* bits) const {
  const uint64_t* panel = Plane(plane) + row / kPanelRows * groups();
  std::fill_n(bits, CeilDiv(columns, kWordColumns), uint64_t{0});
  for (size_t g = 0; g < groups(); ++g) {
    const uint64_t group = (panel[g] >> (kGroupColumns * (row % kPanelRows))) & 15;
    bits[g * kGroupColumns / kWordColumns] |= group << (g * kGroupColumns % kWordColumns);
  }
}

void CpuWeights::EmbeddingRow(TokenId token, float* values) const {
  const size_t row = static_cast<size_t>(token);
  const size_t columns = embedding.columns;
  if (embedding.kind == MatrixKind::kFloat) {
    if (embedding.tied) return output.matrix.FloatRow(row, values);
    std::memcpy(values, embedding.floats.data() + row * columns, columns * sizeof(float));
    return;
  }
  Scratch scratch;
  uint64_t* bits = scratch.Take<uint64_t>(CeilDiv(columns, kWordColumns));
  for (size_t plane = 0; plane < embedding.scales.size(); ++plane) {
    EmbeddingBits(token, plane, bits);
    const float scale = embedding.scales[plane];
    for (size_t k = 0; k < columns; ++k) {
      const bool plus = ((bits[k / kWordColumns] >> (k % kWordColumns)) & 1) != 0;
      const float value = plus ? scale : -scale;
      values[k] = plane == 0 ? value : values[k] + value;
    }
  }
}

void CpuWeights::EmbeddingBits(TokenId token, size_t plane, uint64_t* bits) const {
  const size_t row = static_cast<size_t>(token);
  if (embedding.tied) return output.matrix.BitRow(plane, row, bits);
  const size_t row_bytes = CeilDiv(embedding.columns, 8);
  const size_t plane_bytes = embedding.bits.size() / embedding.scales.size();
  CopySignBits(embedding.bits.data() + plane * plane_bytes + row * row_bytes, embedding.columns,
               bits);
}

uint64_t EmbeddingTable::bytes() const { return Bytes(floats) + Bytes(bits) + Bytes(scales); }
uint64_t LinearWeights::bytes() const { return matrix.bytes() + Bytes(row_scales) + Bytes(bias); }
uint64_t LstmWeights::bytes() const {
  return x.bytes() + h.bytes() + Bytes(row_scales) + Bytes(h_row_scales) + Bytes(bias) +
         Bytes(x_gain) + Bytes(h_gain) + Bytes(c_gain) + Bytes(c_shift);
}
uint64_t OutputWeights::bytes() const { return matrix.bytes() + Bytes(bias) + Bytes(scales); }

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
  const size_t outputs = static_cast<size_t>(config.OutputSize());
  const Packer packer(model.tensors);
  CpuWeights weights;
  const bool tied = config.output_embedding == MatrixKind::kTied;
  weights.embedding = packer.Embedding(config.embedding, embedding, tied);
  weights.input_projection = packer.Linear(
      "input_projection", config.input_projection, config.ProjectionPlanes(), hidden, embedding,
      /*sign_inputs=*/config.embedding == MatrixKind::kBinary && config.bit_planes == 1);
  for (int layer = 0; layer < config.layers; ++layer) {
    weights.lstm.push_back(packer.Lstm(config, layer));
  }
  weights.output_projection = packer.Linear("output_projection", config.output_projection,
                                            config.ProjectionPlanes(), embedding, hidden);
  weights.output.matrix = packer.Matrix(tied ? "embedding.weight" : "output_embedding.weight",
                                        tied ? config.embedding : config.output_embedding,
                                        config.bit_planes, outputs, embedding);
  if (weights.output.matrix.kind == MatrixKind::kBinary) {
    weights.output.scales = packer.PlaneScales("output_embedding.scale");
  }
  if (config.output_bias) weights.output.bias = packer.Rows("output_bias");
  return weights;
}

}  // namespace bitlm
