#include "trainer/train/run_checks.h"

#include <algorithm>

#include "absl/strings/str_format.h"
#include "engine/base/status.h"
#include "trainer/train/task.h"

namespace bitlm::trainer {
namespace {

absl::Status CheckTemperature(const Recipe& recipe) {
  const ModelConfig& model = recipe.model;
  if (!recipe.tune_temperature) return absl::OkStatus();
  const bool scaled_table = model.embedding == MatrixKind::kBinary && model.bit_planes == 1 &&
                            !recipe.shape.fitted_scales;
  if (model.output_embedding == MatrixKind::kTied && !scaled_table &&
      model.output_projection == MatrixKind::kNone) {
    return absl::InvalidArgumentError(
        "temperature: \"tuned\" needs an output_projection where a table without a scale of its "
        "own is tied");
  }
  if (model.self_normalized) {
    return absl::InvalidArgumentError(
        "temperature: \"tuned\" would undo what model.self_normalized trains: log Z near 0");
  }
  return absl::OkStatus();
}

absl::Status CheckStart(const Recipe& recipe) {
  const bool prunes = recipe.pruning.embedding > 0 || recipe.pruning.recurrent > 0;
  if (prunes && recipe.initial_model.empty()) {
    return absl::InvalidArgumentError("pruning: needs init.model, whose weights it prunes");
  }
  if (!recipe.word_vectors.empty() && !recipe.initial_model.empty()) {
    return absl::InvalidArgumentError("init.word_vectors: init.model has vectors of its own");
  }
  if (recipe.initial_run.empty()) return absl::OkStatus();
  for (const auto& [set, key] : {std::pair(!recipe.initial_model.empty(), "init.model"),
                                 std::pair(!recipe.word_vectors.empty(), "init.word_vectors")}) {
    if (set) {
      return absl::InvalidArgumentError(
          absl::StrFormat("init.run: has all weights; %s would replace them", key));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckBatchNorm(const Recipe& recipe) {
  if (recipe.model.norm != NormKind::kBatch) return absl::OkStatus();
  constexpr int64_t kLeastStreams = 8;
  if (recipe.shape.streams < kLeastStreams) {
    return absl::InvalidArgumentError(
        absl::StrFormat("batch.streams: %d, norm \"batch\" needs %d or more for its statistics",
                        recipe.shape.streams, kLeastStreams));
  }
  if (recipe.average_decay > 0) {
    return absl::InvalidArgumentError(
        "average.decay: averaged weights would need statistics of their own for norm \"batch\"");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckRun(const Recipe& recipe) {
  BITLM_RETURN_IF_ERROR(TaskOf(recipe.model.head).Check(recipe));
  ModelConfig smallest = recipe.model;
  smallest.vocabulary_size = std::max(2, recipe.vocabulary_size);
  BITLM_RETURN_IF_ERROR(CheckTrainable(smallest));
  if (recipe.schedule.kind == ScheduleKind::kHalving && recipe.schedule.learning_rate <= 0) {
    return absl::InvalidArgumentError("learning_rate: has to be above 0");
  }
  BITLM_RETURN_IF_ERROR(CheckTemperature(recipe));
  BITLM_RETURN_IF_ERROR(CheckStart(recipe));
  return CheckBatchNorm(recipe);
}

}  // namespace bitlm::trainer
