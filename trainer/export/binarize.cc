#include "trainer/export/binarize.h"

#include <cmath>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "engine/base/status.h"
#include "trainer/export/copy_model.h"

namespace bitlm::trainer {
namespace {

absl::Status CheckFloat(const char* option, MatrixKind kind) {
  if (kind == MatrixKind::kFloat) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrFormat("%s: \"%s\", expected \"float\"", option, std::string(ToString(kind))));
}

// Means of the columns of rows of `columns` values.
std::vector<double> Means(std::span<const float> values, size_t columns) {
  std::vector<double> means(columns);
  for (size_t i = 0; i < values.size(); ++i) means[i % columns] += static_cast<double>(values[i]);
  for (double& mean : means) mean /= static_cast<double>(values.size() / columns);
  return means;
}

// bias += W x.
void AddProduct(const Tensor& weight, const std::vector<double>& x, std::span<float> bias) {
  for (size_t r = 0; r < bias.size(); ++r) {
    double sum = 0;
    for (size_t c = 0; c < x.size(); ++c)
      sum += static_cast<double>(weight.f32()[r * x.size() + c]) * x[c];
    bias[r] = static_cast<float>(static_cast<double>(bias[r]) + sum);
  }
}

}  // namespace

absl::StatusOr<Model> BinarizeEmbedding(const Model& model) {
  const ModelConfig& config = model.config;
  BITLM_RETURN_IF_ERROR(CheckFloat("embedding", config.embedding));
  if (config.output_embedding == MatrixKind::kTied) {
    return absl::FailedPreconditionError(
        "output_embedding: \"tied\" would become binary with the embedding");
  }
  const bool projected = config.input_projection != MatrixKind::kNone;
  if (projected) {
    BITLM_RETURN_IF_ERROR(CheckFloat("input_projection", config.input_projection));
  } else {
    BITLM_RETURN_IF_ERROR(CheckFloat("recurrent", config.recurrent));
    if (config.norm != NormKind::kNone)
      return absl::FailedPreconditionError("norm: expected \"none\"");
  }

  Model result = CopyModel(model);
  result.config.embedding = MatrixKind::kBinary;
  result.config.preset = "custom";
  const auto columns = static_cast<size_t>(config.embedding_size);
  const std::span<const float> values = model.tensors.at("embedding.weight").f32();
  const std::vector<double> means = Means(values, columns);
  const size_t bytes = (columns + 7) / 8;
  Tensor signs = MakeTensor(DType::kU8, {config.vocabulary_size, static_cast<int64_t>(bytes)});
  double magnitudes = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    const size_t row = i / columns, column = i % columns;
    const double difference = static_cast<double>(values[i]) - means[column];
    magnitudes += std::fabs(difference);
    if (difference > 0)
      signs.mutable_u8()[row * bytes + column / 8] |= static_cast<uint8_t>(1u << (column % 8));
  }
  Tensor scale = MakeTensor(DType::kF32, {1});
  scale.mutable_f32()[0] = static_cast<float>(magnitudes / static_cast<double>(values.size()));
  result.tensors["embedding.weight"] = std::move(signs);
  result.tensors["embedding.scale"] = std::move(scale);
  const std::string layer = projected ? "input_projection" : "lstm.0";
  AddProduct(result.tensors.at(layer + (projected ? ".weight" : ".weight_x")), means,
             result.tensors.at(layer + ".bias").mutable_f32());
  BITLM_RETURN_IF_ERROR(CheckServable(result.config));
  return result;
}

}  // namespace bitlm::trainer
