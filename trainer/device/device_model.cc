#include "trainer/device/device_model.h"

#include <utility>

#include "absl/strings/str_format.h"

namespace bitlm::trainer {

absl::StatusOr<DeviceModel> DeviceModelOf(const ModelConfig& config, const NetworkShape& shape) {
  const bool tied = config.output_embedding == MatrixKind::kTied;
  for (const auto& [wrong, what] :
       {std::pair(config.head != HeadKind::kLanguageModel, "model.head: a classifier"),
        std::pair(config.embedding != MatrixKind::kFloat, "model.embedding: not float"),
        std::pair(!tied && config.output_embedding != MatrixKind::kFloat,
                  "model.output_embedding: not float"),
        std::pair(config.recurrent != MatrixKind::kFloat, "model.recurrent: not float"),
        std::pair(config.input_projection != MatrixKind::kNone, "model.input_projection"),
        std::pair(config.output_projection != MatrixKind::kNone &&
                      config.output_projection != MatrixKind::kFloat,
                  "model.output_projection: not float"),
        std::pair(config.norm != NormKind::kNone, "model.norm"),
        std::pair(config.activation != ActivationKind::kReal, "model.activation: signs"),
        std::pair(config.self_normalized, "model.self_normalized"),
        std::pair(shape.softmax_samples > 0, "softmax.samples: a part of the words")}) {
    if (wrong)
      return absl::InvalidArgumentError(absl::StrFormat("%s: is not trained on a device", what));
  }
  return DeviceModel{.vocabulary = config.vocabulary_size,
                     .embedding = config.embedding_size,
                     .hidden = config.hidden_size,
                     .layers = config.layers,
                     .tied = tied,
                     .output_projection = config.output_projection == MatrixKind::kFloat,
                     .output_bias = config.output_bias,
                     .streams = shape.streams,
                     .steps = shape.steps};
}

}  // namespace bitlm::trainer
