// The models that a run starts from and learns from.

#include <algorithm>
#include <cstdio>
#include <string>
#include <utility>

#include "absl/strings/str_format.h"
#include "engine/base/sha256.h"
#include "engine/base/status.h"
#include "trainer/init/from_model.h"
#include "trainer/init/initialize.h"
#include "trainer/init/tied_table.h"
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
  BITLM_ASSIGN_OR_RETURN(auto model, ReadOther("init.model", recipe_.initial_model));
  FitOptions options{.counts = std::vector<int64_t>(static_cast<size_t>(vocabulary_.size())),
                     .count_power = recipe_.initial_count_power,
                     .seed = recipe_.seed};
  for (const int32_t token : train_.tokens) ++options.counts[static_cast<size_t>(token)];
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
  const int planes = network_.fitted() ? recipe_.model.bit_planes : 0;
  if (NeedsTiedTable(model->config, recipe_.model)) {
    BITLM_RETURN_IF_ERROR(measure());
    BITLM_ASSIGN_OR_RETURN(
        TiedTable tied,
        FactorTiedTable(*model, options, {.planes = planes, .exact = recipe_.anneal > 0}, &pool_));
    if (!options_.quiet && recipe_.anneal == 0) {
      std::fprintf(stderr, "embedding: fitted by signs, but for %.1f %%\n", 100 * tied.error);
    }
    latent = std::move(tied.latent);
    model = std::make_shared<const Model>(std::move(tied.model));
  }
  const bool fits_rows = recipe_.model.recurrent == MatrixKind::kBinary ||
                         recipe_.model.output_projection == MatrixKind::kBinary;
  if (recipe_.anneal > 0) {
    options.moments = nullptr;  // Then matrices keep their values.
  } else if (fits_rows) {
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
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Network<FastBackend>>> TrainingRun::NetworkOf(const Model& model) {
  return NetworkFromModel(model, recipe_.shape, backend_);
}

absl::Status TrainingRun::MakeTeacher() {
  if (recipe_.teacher_model.empty() || recipe_.distillation_weight == 0) return absl::OkStatus();
  BITLM_ASSIGN_OR_RETURN(const auto model, ReadOther("distillation.model", recipe_.teacher_model));
  BITLM_ASSIGN_OR_RETURN(teacher_, NetworkOf(*model));
  teacher_state_ = teacher_->ZeroState();
  std::string digests;
  for (const auto& [name, tensor] : model->tensors) {
    const auto bytes = tensor.bytes.span();
    digests += Sha256Hex({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  }
  teacher_digest_ = Sha256Hex(digests);
  return absl::OkStatus();
}

}  // namespace bitlm::trainer
