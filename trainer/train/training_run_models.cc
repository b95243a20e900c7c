// The models that a run starts from and learns from.

#include <algorithm>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "engine/base/sha256.h"
#include "engine/base/status.h"
#include "trainer/init/from_model.h"
#include "trainer/init/initialize.h"
#include "trainer/init/tied_table.h"
#include "trainer/init/word_vectors.h"
#include "trainer/train/checkpoint.h"
#include "trainer/train/training_run.h"

namespace bitlm::trainer {

absl::StatusOr<std::shared_ptr<const Model>> TrainingRun::ReadOther(
    const char* key, const std::string& directory) const {
  auto model = ReadModel(directory);
  absl::Status status = model.status();
  if (status.ok()) status = CheckTrainable((*model)->config);
  if (!status.ok()) {
    return absl::Status(status.code(), absl::StrFormat("%s: %s", key, status.message()));
  }
  if ((*model)->config.head != recipe_.model.head ||
      (*model)->config.classes != recipe_.model.classes) {
    return absl::FailedPreconditionError(
        absl::StrFormat("%s: %s: head \"%s\" of %d classes, expected \"%s\" of %d", key, directory,
                        ToString((*model)->config.head), (*model)->config.classes,
                        ToString(recipe_.model.head), recipe_.model.classes));
  }
  if ((*model)->vocabulary.Serialize() != vocabulary_.Serialize()) {
    return absl::FailedPreconditionError(
        absl::StrFormat("%s: %s: its words are not those of data.train", key, directory));
  }
  return model;
}

absl::Status TrainingRun::TakeWeights(const std::string& directory) {
  CheckpointView other{.numbers = {}, .arrays = WeightArrays(), .identity = {}};
  const std::string path = directory + "/best.bin";
  BITLM_ASSIGN_OR_RETURN(const std::string identity, ReadCheckpointIdentity(path));
  const auto refuse = [&](const char* what) {
    return absl::FailedPreconditionError(absl::StrFormat("init.run: %s: its %s", path, what));
  };
  const size_t texts = identity.rfind("\n# training text ");
  const auto recipe = ParseRecipe(identity.substr(0, texts), path, {});
  if (texts == std::string::npos || !recipe.ok()) return refuse("recipe cannot be read");
  if (!absl::StrContains(identity, VocabularyLine()))
    return refuse("words are not those of data.train");
  ModelConfig model = recipe->model;
  model.vocabulary_size = recipe_.model.vocabulary_size;
  // What is not of the weights' meaning may differ.
  model.preset = recipe_.model.preset;
  model.context = recipe_.model.context;
  model.activation_planes = recipe_.model.activation_planes;
  model.self_normalized = recipe_.model.self_normalized;
  if (model != recipe_.model || recipe->shape.fitted_scales != recipe_.shape.fitted_scales ||
      recipe->shape.binary_bias != recipe_.shape.binary_bias)
    return refuse("network is another");
  other.identity = identity;
  return ReadCheckpoint(path, &other);
}

absl::Status TrainingRun::Initialize() {
  if (!recipe_.initial_run.empty()) return TakeWeights(recipe_.initial_run);
  std::vector<int64_t> counts(static_cast<size_t>(vocabulary_.size()));
  for (const int32_t token : data_.train_text->tokens) ++counts[static_cast<size_t>(token)];
  if (recipe_.initial_model.empty()) {
    InitializeAtRandom(recipe_.initial, recipe_.seed, &network_);
    if (recipe_.model.head == HeadKind::kClassifier) ForgetUnusedWords(counts);
    return recipe_.word_vectors.empty() ? absl::OkStatus() : SetWordVectors(counts);
  }
  BITLM_ASSIGN_OR_RETURN(auto model, ReadOther("init.model", recipe_.initial_model));
  if (!options_.quiet) {  // Fits of large tables take a minute and more.
    std::fprintf(stderr, "starting from %s\n", recipe_.initial_model.c_str());
  }
  FitOptions options{.counts = std::move(counts),
                     .count_power = recipe_.initial_count_power,
                     .seed = recipe_.seed};
  InputMoments moments;
  const auto measure = [&]() -> absl::Status {
    BITLM_ASSIGN_OR_RETURN(const auto network, NetworkOf(*model));
    // Sixteen inputs for each of their dimensions.
    const int64_t per_segment = recipe_.shape.streams * recipe_.shape.steps;
    const int64_t tokens = 32 * std::max(recipe_.model.hidden_size, recipe_.model.embedding_size);
    moments = MeasureMoments(batcher_, 1 + (tokens - 1) / per_segment, &pool_, network.get());
    options.moments = &moments;
    return absl::OkStatus();
  };
  // A tied table first, so that what follows is fitted to the inputs that the signs make.
  std::vector<float> latent;
  if (NeedsTiedTable(model->config, recipe_.model)) {
    BITLM_RETURN_IF_ERROR(measure());
    BITLM_ASSIGN_OR_RETURN(TiedTable tied, FactorTiedTable(*model, options,
                                                           {.planes = network_.table_planes(),
                                                            .size = recipe_.model.embedding_size,
                                                            .exact = recipe_.anneal > 0},
                                                           &pool_));
    if (!options_.quiet && recipe_.anneal == 0) {
      std::fprintf(stderr, "embedding: fitted by signs, but for %.1f %%\n", 100 * tied.error);
    }
    latent = std::move(tied.latent);
    model = std::make_shared<const Model>(std::move(tied.model));
  }
  const ModelConfig& config = recipe_.model;
  const bool fits_inputs =
      (config.recurrent == MatrixKind::kBinary &&
       (config.scale == ScaleKind::kPerRow || config.activation == ActivationKind::kSign)) ||
      config.output_projection == MatrixKind::kBinary || config.norm == NormKind::kBatch;
  if (recipe_.anneal > 0) {
    options.moments = nullptr;  // Then matrices keep their values.
  } else if (fits_inputs) {
    BITLM_RETURN_IF_ERROR(measure());
  }
  const auto report = InitializeFromModel(*model, options, &pool_, &network_);
  if (!report.ok()) {
    return absl::Status(
        report.status().code(),
        absl::StrFormat("init.model: %s: %s", recipe_.initial_model, report.status().message()));
  }
  if (!latent.empty()) SetLatentTable(latent, &network_);
  if (!options_.quiet) std::fprintf(stderr, "%s", report->c_str());
  pruning_.Prune();
  return absl::OkStatus();
}

void TrainingRun::ForgetUnusedWords(std::span<const int64_t> counts) {
  Parameter<float>& table = network_.embedding().table();
  if (table.binary() || network_.embedding().tied()) return;
  for (size_t word = 0; word < counts.size(); ++word) {
    if (counts[word] == 0)
      std::fill_n(table.value.data() + static_cast<int64_t>(word) * table.cols, table.cols, 0.0f);
  }
}

absl::Status TrainingRun::SetWordVectors(std::span<const int64_t> counts) {
  if (recipe_.model.embedding != MatrixKind::kFloat || network_.embedding().tied()) {
    return absl::FailedPreconditionError(
        "init.word_vectors: model.embedding has to be float, and not tied");
  }
  const auto report =
      ReadWordVectors(recipe_.word_vectors, vocabulary_, counts, &network_.embedding().table());
  if (!report.ok()) {
    return absl::Status(report.status().code(),
                        absl::StrFormat("init.word_vectors: %s", report.status().message()));
  }
  if (!options_.quiet) {
    std::fprintf(stderr,
                 "init.word_vectors: vectors of %lld of %d words, %.2f %% of the tokens (%lld "
                 "vectors in the file, %lld repeated)\n",
                 static_cast<long long>(report->words), vocabulary_.size(), 100 * report->coverage,
                 static_cast<long long>(report->vectors), static_cast<long long>(report->repeated));
  }
  return absl::OkStatus();
}

void TrainingRun::CenterLogZ() {
  if (!recipe_.model.self_normalized || !recipe_.model.output_bias) return;
  const auto mean = static_cast<float>(Validate().mean_log_z);
  for (float& b : network_.output().bias()->value.span()) b -= mean;
}

absl::StatusOr<std::unique_ptr<Network<FastBackend>>> TrainingRun::NetworkOf(const Model& model) {
  return NetworkFromModel(model, recipe_.shape, backend_);
}

absl::Status TrainingRun::MakeTeachers() {
  if (recipe_.distillation_weight == 0) return absl::OkStatus();
  std::string teachers;
  for (const std::string& directory : recipe_.teacher_models) {
    BITLM_ASSIGN_OR_RETURN(const auto model, ReadOther("distillation.model", directory));
    BITLM_ASSIGN_OR_RETURN(auto teacher, NetworkOf(*model));
    teacher->KeepOnlyTeaching();
    teacher_states_.push_back(teacher->ZeroState());
    teachers_.push_back(std::move(teacher));
    std::string digests;
    for (const auto& [name, tensor] : model->tensors) {
      const auto bytes = tensor.bytes.span();
      digests += Sha256Hex({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    }
    teachers += Sha256Hex(digests);
  }
  if (!teachers_.empty()) {
    distillation_.weight = static_cast<float>(recipe_.distillation_weight);
    distillation_.temperature = static_cast<float>(recipe_.distillation_temperature);
  }
  // One teacher's own digest, or that of several.
  teacher_digest_ = teachers_.size() == 1 ? teachers : Sha256Hex(teachers);
  return absl::OkStatus();
}

const Distillation<float>& TrainingRun::Teach(const Batch& batch) {
  distillation_.teachers.clear();
  for (size_t i = 0; i < teachers_.size(); ++i)
    distillation_.teachers.push_back(teachers_[i]->Teach(batch, &teacher_states_[i]));
  return distillation_;
}

}  // namespace bitlm::trainer
