#include "trainer/export/quantize.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <string>

#include "absl/strings/str_format.h"
#include "engine/base/status.h"
#include "trainer/export/copy_model.h"

namespace bitlm::trainer {
namespace {

constexpr int kScales = 33;
constexpr float kScaleStep = 0.01f;

int8_t Rounded(float w, float scale) {
  const float q = std::nearbyint(w / scale);
  return static_cast<int8_t>(std::clamp(q, -127.0f, 127.0f));
}

double SquaredError(std::span<const float> row, float scale) {
  double error = 0;
  for (const float w : row) {
    const double d = static_cast<double>(w) - static_cast<double>(scale) * Rounded(w, scale);
    error += d * d;
  }
  return error;
}

// A few clipped outliers may cost less than coarser steps for all.
float BestScale(std::span<const float> row) {
  float largest = 0;
  for (const float w : row) largest = std::max(largest, std::fabs(w));
  const float whole = largest / 127;
  if (whole < std::numeric_limits<float>::min()) return 1;  // A row of zeros.
  float best = whole;
  double least = SquaredError(row, whole);
  for (int i = 1; i < kScales; ++i) {
    const float scale = whole * (1 - kScaleStep * static_cast<float>(i));
    const double error = SquaredError(row, scale);
    if (error < least) {
      least = error;
      best = scale;
    }
  }
  return best;
}

// Replaces the float matrix `name` and adds its scales.
void QuantizeMatrix(const std::string& name, const std::string& scale_name, TensorMap* tensors) {
  const Tensor& from = tensors->at(name);
  Tensor matrix = MakeTensor(DType::kI8, from.shape);
  Tensor scales = MakeTensor(DType::kF32, {from.shape[0]});
  const size_t columns = static_cast<size_t>(from.shape[1]);
  for (size_t r = 0; r < static_cast<size_t>(from.shape[0]); ++r) {
    const std::span<const float> row = from.f32().subspan(r * columns, columns);
    const float scale = BestScale(row);
    scales.mutable_f32()[r] = scale;
    for (size_t k = 0; k < columns; ++k) {
      matrix.mutable_i8()[r * columns + k] = Rounded(row[k], scale);
    }
  }
  (*tensors)[name] = std::move(matrix);
  (*tensors)[scale_name] = std::move(scales);
}

}  // namespace

absl::StatusOr<Model> QuantizeRecurrent(const Model& model) {
  if (model.config.recurrent != MatrixKind::kFloat) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "recurrent: \"%s\", only \"float\" can become \"int8\"", ToString(model.config.recurrent)));
  }
  Model result = CopyModel(model);
  result.config.recurrent = MatrixKind::kInt8;
  BITLM_RETURN_IF_ERROR(CheckServable(result.config));
  for (int layer = 0; layer < model.config.layers; ++layer) {
    const std::string prefix = absl::StrFormat("lstm.%d.", layer);
    QuantizeMatrix(prefix + "weight_x", prefix + "scale_x", &result.tensors);
    QuantizeMatrix(prefix + "weight_h", prefix + "scale_h", &result.tensors);
  }
  return result;
}

}  // namespace bitlm::trainer
