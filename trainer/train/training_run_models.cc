// The models that a run starts from and learns from.

#include <cstdio>
#include <utility>

#include "absl/strings/str_format.h"
#include "engine/base/status.h"
#include "trainer/init/from_model.h"
#include "trainer/init/initialize.h"
#include "trainer/train/training_run.h"

namespace bitlm::trainer {

absl::StatusOr<std::shared_ptr<const Model>> TrainingRun::ReadOther(
    const char* key, const std::string& directory) const {
  auto model = ReadModel(directory);
  if (!model.ok()) {
    return absl::Status(model.status().code(),
                        absl::StrFormat("%s: %s", key, model.status().message()));
  }
  if ((*model)->vocabulary.Serialize() != vocabulary_.Serialize()) {
    return absl::FailedPreconditionError(
        absl::StrFormat("%s: %s: its words are not those of data.train", key, directory));
  }
  return model;
}

absl::Status TrainingRun::Initialize() {
  if (recipe_.initial_model.empty()) {
    InitializeAtRandom(recipe_.initial, recipe_.seed, &network_);
    return absl::OkStatus();
  }
  BITLM_ASSIGN_OR_RETURN(const auto model, ReadOther("init.model", recipe_.initial_model));
  FitOptions options{.counts = std::vector<int64_t>(static_cast<size_t>(vocabulary_.size())),
                     .seed = recipe_.seed};
  for (const int32_t token : train_.tokens) ++options.counts[static_cast<size_t>(token)];
  InputMoments moments;
  if (model->config.output_projection == MatrixKind::kNone) {
    BITLM_ASSIGN_OR_RETURN(const auto network, NetworkOf(*model, "init.model"));
    constexpr int64_t kSegments = 32;
    batcher_.StartEpoch(0);
    moments = MeasureMoments(batcher_, kSegments, &pool_, network.get());
    options.moments = &moments;
  }
  BITLM_ASSIGN_OR_RETURN(const std::string report,
                         InitializeFromModel(*model, options, &pool_, &network_));
  if (!options_.quiet) std::fprintf(stderr, "%s", report.c_str());
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Network<FastBackend>>> TrainingRun::NetworkOf(const Model& model,
                                                                             const char* key) {
  if (const absl::Status status = CheckTrainable(model.config); !status.ok()) {
    return absl::FailedPreconditionError(absl::StrFormat("%s: %s", key, status.message()));
  }
  NetworkShape shape = recipe_.shape;
  shape.softmax_samples = 0;
  auto network = std::make_unique<Network<FastBackend>>(backend_, model.config, shape);
  BITLM_RETURN_IF_ERROR(InitializeFromModel(model, {}, &pool_, network.get()).status());
  network->Pack();
  return network;
}

absl::Status TrainingRun::MakeTeacher() {
  if (recipe_.teacher_model.empty() || recipe_.distillation_weight == 0) return absl::OkStatus();
  BITLM_ASSIGN_OR_RETURN(const auto model, ReadOther("distillation.model", recipe_.teacher_model));
  BITLM_ASSIGN_OR_RETURN(teacher_, NetworkOf(*model, "distillation.model"));
  teacher_state_ = teacher_->ZeroState();
  return absl::OkStatus();
}

}  // namespace bitlm::trainer
