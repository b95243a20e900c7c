#include "trainer/device/device_model.h"

#include <cmath>
#include <utility>

#include "absl/strings/str_format.h"
#include "trainer/layers/matrix_planes.h"

namespace bitlm::trainer {
namespace {

DeviceMatrix KindOf(MatrixKind kind) {
  if (kind == MatrixKind::kNone) return DeviceMatrix::kNone;
  return kind == MatrixKind::kBinary ? DeviceMatrix::kBinary : DeviceMatrix::kFloat;
}

}  // namespace

absl::StatusOr<DeviceModel> DeviceModelOf(const ModelConfig& config, const NetworkShape& shape) {
  const bool tied = config.output_embedding == MatrixKind::kTied;
  const MatrixKind output = tied ? config.embedding : config.output_embedding;
  const MatrixPlanes planes = MatrixPlanesOf(config, shape);
  const bool binary = config.embedding == MatrixKind::kBinary || output == MatrixKind::kBinary ||
                      config.recurrent == MatrixKind::kBinary ||
                      config.input_projection == MatrixKind::kBinary ||
                      config.output_projection == MatrixKind::kBinary;
  for (const auto& [wrong, what] :
       {std::pair(config.head != HeadKind::kLanguageModel, "model.head: a classifier"),
        std::pair(config.recurrent == MatrixKind::kInt8, "model.recurrent: int8"),
        std::pair(binary && config.scale != ScaleKind::kPerRow, "model.scale: per matrix"),
        std::pair(config.norm != NormKind::kNone, "model.norm"),
        std::pair(config.activation != ActivationKind::kReal, "model.activation: signs"),
        std::pair(shape.softmax_samples > 0 && shape.softmax_samples < config.vocabulary_size,
                  "softmax.samples: a part of the words")}) {
    if (wrong)
      return absl::InvalidArgumentError(absl::StrFormat("%s: is not trained on a device", what));
  }
  return DeviceModel{
      .vocabulary = config.vocabulary_size,
      .embedding = config.embedding_size,
      .hidden = config.hidden_size,
      .layers = config.layers,
      .tied = tied,
      .embedding_table = KindOf(config.embedding),
      .input_projection = KindOf(config.input_projection),
      .recurrent = KindOf(config.recurrent),
      .output_projection = KindOf(config.output_projection),
      .output_table = KindOf(output),
      .output_bias = config.output_bias,
      .table_planes = planes.tables,
      .recurrent_planes = planes.recurrent,
      .projection_planes = planes.projections,
      // [LCY18] equation 8.
      .alpha = static_cast<float>(std::sqrt(1.0 / static_cast<double>(config.hidden_size))),
      .streams = shape.streams,
      .steps = shape.steps};
}

}  // namespace bitlm::trainer
