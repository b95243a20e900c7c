// Tensor: a named array of a model, and the list of those that a ModelConfig needs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "engine/base/aligned_buffer.h"
#include "engine/model/model_config.h"

namespace bitlm {

// Element types, as safetensors names them.
enum class DType { kF32, kI8, kU8 };

std::string_view ToString(DType dtype);  // "F32", "I8", "U8".
size_t ElementBytes(DType dtype);

// Owns its values, 64-byte aligned. Packed binary matrices are kU8 [rows, ceil(columns / 8)]: bit j
// of byte k of a row is column 8k + j, 1 = +1, 0 = -1; the bits after the last column are 0.
struct Tensor {
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;  // Empty for a scalar is not used: a single value has shape [1].
  AlignedBuffer<std::byte> bytes;

  std::span<const float> f32() const;   // Requires dtype kF32.
  std::span<const uint8_t> u8() const;  // Requires dtype kU8.
  std::span<const int8_t> i8() const;   // Requires dtype kI8.
  std::span<float> mutable_f32();
  std::span<uint8_t> mutable_u8();
  std::span<int8_t> mutable_i8();
  int64_t elements() const;  // Product of the shape.
};

// A zeroed tensor.
Tensor MakeTensor(DType dtype, std::vector<int64_t> shape);

using TensorMap = std::map<std::string, Tensor>;

struct TensorSpec {
  std::string name;
  DType dtype;
  std::vector<int64_t> shape;
  // Values in a row: the last dimension, but of a packed matrix the bits that are used.
  int64_t columns = 0;

  uint64_t bytes() const;
};

// Exactly the tensors that a model of this config holds, sorted by name. `config` must be valid.
// O is V for a language model, the number of classes for a classifier; I is LstmInputSize(layer).
//
// clang-format off
//   embedding.weight          F32 [V, E], or binary with embedding.scale F32 [1]
//   input_projection.weight   F32 [H, E], or binary with input_projection.scale F32 [H] (per_row)
//                             or [1] (per_matrix)
//   input_projection.bias     F32 [H]
//   lstm.<l>.weight_x         F32, I8, or binary [4H, I]; gates in the order i f g o
//   lstm.<l>.weight_h         F32, I8, or binary [4H, H]
//   lstm.<l>.scale            F32 [4H]: binary per_row, one scale for a row of both matrices
//                             ([LCY18] Algorithm 1)
//   lstm.<l>.scale_x, scale_h F32 [1] each: binary per_matrix ([ZT] equation 3);
//                             F32 [4H] each: int8
//   lstm.<l>.gain_x, gain_h   F32 [4H] each: norm batch (gain / standard deviation) or layer
//   lstm.<l>.gain_c, shift_c  F32 [H] each: norm layer, of the cell state that h is made of
//   lstm.<l>.bias             F32 [4H]; with a norm its shifts and means are folded in
//   output_projection.weight, .scale, .bias   [E, H], [E] or [1], [E], as on the input side
//   output_embedding.weight   F32 [O, E], or binary with output_embedding.scale F32 [1]; absent
//                             when tied, but a tied binary table has its own output_embedding.scale
//   output_bias               F32 [O]
// clang-format on
//
// "binary [R, C]" is U8 [R, ceil(C / 8)]; with P > 1 bit planes (config.bit_planes, for recurrent
// matrices RecurrentPlanes(), for projections ProjectionPlanes()) it and its scale have a leading
// dimension P. All scales are final factors: alpha and exp(gamma) are multiplied together when a
// model is written.
std::vector<TensorSpec> RequiredTensors(const ModelConfig& config);

// Bit planes of a packed matrix: [planes, rows, bytes], or [rows, bytes] of one.
inline int PlanesOf(const Tensor& tensor) {
  return tensor.shape.size() == 3 ? static_cast<int>(tensor.shape[0]) : 1;
}

// What is wrong with `tensor` as the one that `spec` asks for, or OK: dtype, shape, values that are
// not finite, padding bits that are not 0. Errors: DATA_LOSS `tensor "lstm.0.bias": shape [2000],
// expected [1600]`.
absl::Status CheckTensor(const TensorSpec& spec, const Tensor& tensor);

// "[1600, 50]"; for messages.
std::string ShapeString(std::span<const int64_t> shape);

// Bytes of all tensors: what stays resident. `config` must be valid. [LCY18] Table 1: BLLM
// 0.25VH + 1.25H^2 + 48H, BELM 0.25VH + 40H^2 + 24H.
uint64_t WeightBytes(const ModelConfig& config);

}  // namespace bitlm
