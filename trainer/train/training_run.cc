#include "trainer/train/training_run.h"

#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "engine/base/file.h"
#include "engine/base/sha256.h"
#include "engine/base/status.h"
#include "trainer/export/exporter.h"
#include "trainer/train/checkpoint.h"
#include "trainer/train/publish.h"
#include "trainer/train/run_checks.h"

namespace bitlm::trainer {
namespace {

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

absl::StatusOr<std::unique_ptr<TrainingRun>> TrainingRun::Create(const Recipe& recipe,
                                                                 const TrainingOptions& options) {
  const Task& task = TaskOf(recipe.model.head);
  BITLM_RETURN_IF_ERROR(CheckRun(recipe));
  std::error_code error;
  if (options.existing_only && !std::filesystem::exists(options.output + "/best.bin", error)) {
    return absl::NotFoundError(options.output + ": no run with a validated model (best.bin)");
  }
  BITLM_ASSIGN_OR_RETURN(RunData data, task.ReadData(recipe, options.output));
  Recipe sized = recipe;
  sized.valid = data.valid_path;
  sized.model.vocabulary_size = data.vocabulary.size();
  BITLM_RETURN_IF_ERROR(CheckTrainable(sized.model));
  std::filesystem::create_directories(options.output, error);
  if (error) {
    return absl::InternalError(
        absl::StrFormat("%s: cannot create: %s", options.output, error.message()));
  }
  std::optional<FileLock> lock;
  if (!options.existing_only) {
    BITLM_ASSIGN_OR_RETURN(lock, FileLock::Acquire(options.output + "/lock"));
  }
  std::unique_ptr<TrainingRun> run(new TrainingRun(sized, options, task, std::move(data)));
  run->lock_ = std::move(lock);
  BITLM_ASSIGN_OR_RETURN(run->pruning_, Pruning::Create(recipe.pruning, &run->network_));
  BITLM_ASSIGN_OR_RETURN(run->constant_dimensions_,
                         ConstantDimensions::Create(recipe.constant_dimensions, &run->network_));
  if (options.existing_only) return run;
  BITLM_RETURN_IF_ERROR(run->MakeTeachers());
  BITLM_RETURN_IF_ERROR(run->MakeDevice());
  if (std::filesystem::exists(run->Path("checkpoint.bin"), error)) {
    BITLM_RETURN_IF_ERROR(run->ReadState());
  } else {
    BITLM_RETURN_IF_ERROR(run->Initialize());
    run->constant_dimensions_.Fix();
    run->CenterLogZ();
    BITLM_RETURN_IF_ERROR(WriteFileAtomically(run->Path("recipe.txt"), recipe.text));
    BITLM_RETURN_IF_ERROR(WriteFileAtomically(
        run->Path("log.csv"),
        absl::StrCat(
            "time,epoch,step,tokens,train_seconds,learning_rate,train_perplexity,valid_perplexity",
            ToAbsl(task.log_columns()),
            sized.model.self_normalized ? ",valid_mean_abs_log_z\n" : "\n")));
    // From here on the directory is this run's, and a long fit is not done again.
    BITLM_RETURN_IF_ERROR(run->WriteState());
  }
  if (run->device_ != nullptr) BITLM_RETURN_IF_ERROR(run->SendToDevice());
  return run;
}

// Recipe, texts and words: what a checkpoint must have in common with the run that goes on from it.
std::string TrainingRun::Identity() const {
  return absl::StrFormat("%s# training text %s, validation text %s%s", recipe_.text,
                         DigestOf(*data_.train_text, data_.train_labels),
                         DigestOf(*data_.valid_text, data_.valid_labels), VocabularyLine());
}

std::string TrainingRun::VocabularyLine() const {
  return absl::StrFormat(", vocabulary %s\n", Sha256Hex(vocabulary_.Serialize()));
}

// A run must not go on with another teacher. To export it none is needed.
std::string TrainingRun::ResumeIdentity() const {
  if (teachers_.empty()) return Identity();
  return absl::StrFormat("%s# teacher %s\n", Identity(), teacher_digest_);
}

TrainingRun::TrainingRun(const Recipe& recipe, const TrainingOptions& options, const Task& task,
                         RunData data)
    : recipe_(recipe),
      options_(options),
      task_(task),
      data_(std::move(data)),
      vocabulary_(data_.vocabulary),
      pool_(options.threads),
      // A device's precision need not be one of this CPU, which fits, tunes and exports.
      backend_(options.precision == Precision::kBfloat16 ? BestPrecision() : options.precision,
               &pool_),
      network_(backend_, recipe.model, recipe.shape),
      optimizer_(recipe.optimizer, network_.Parameters(), &pool_),
      average_trigger_(recipe.average_patience),
      batcher_(*data_.train),
      state_(network_.ZeroState()) {
  network_.set_penalties(recipe.penalties);
  network_.set_activation_quantization(recipe.activation_quantization);
  if (recipe.average_decay > 0)
    average_.emplace(recipe.average_decay, network_.Parameters(), &pool_);
  const auto steps = [&](double epochs) {
    return std::max<int64_t>(1, std::llround(epochs * static_cast<double>(batcher_.segments())));
  };
  total_steps_ = steps(recipe.epochs);
  last_step_ =
      recipe.stop_epoch > 0 ? std::min(total_steps_, steps(recipe.stop_epoch)) : total_steps_;
}

// Of this step's binary matrices.
float TrainingRun::Hardness() const {
  const double annealed = recipe_.anneal * static_cast<double>(total_steps_);
  const auto step = static_cast<double>(step_);
  return step < annealed ? static_cast<float>(step / annealed) : 1.0f;
}

void TrainingRun::Report() {
  if (options_.quiet) return;
  const double now = Now();
  if (shown_at_ == 0) {
    shown_at_ = now;
    shown_tokens_ = tokens_;
  }
  const bool terminal = isatty(STDERR_FILENO);
  if (now - shown_at_ < (terminal ? 2 : 30)) return;
  const double speed =
      static_cast<double>(tokens_ - shown_tokens_) / std::max(1e-9, now - shown_at_);
  const double left = static_cast<double>(last_step_ - step_) *
                      static_cast<double>(recipe_.shape.streams * recipe_.shape.steps);
  std::fprintf(
      stderr, "%sstep %lld/%lld  epoch %.2f  train ppl %.2f  %.0f tokens/s  ETA %s%s",
      terminal ? "\r" : "", static_cast<long long>(step_), static_cast<long long>(last_step_),
      static_cast<double>(step_) / static_cast<double>(batcher_.segments()),
      recent_tokens_ > 0 ? std::exp(recent_loss_ / static_cast<double>(recent_tokens_)) : 0.0,
      speed, absl::FormatDuration(absl::Seconds(std::round(left / std::max(1.0, speed)))).c_str(),
      terminal ? "   " : "\n");
  shown_at_ = now;
  shown_tokens_ = tokens_;
}

absl::StatusOr<double> TrainingRun::StepOnCpu(const Batch& batch, uint64_t dropout_key,
                                              bool averages) {
  network_.set_sampling(static_cast<double>(step_) <
                        recipe_.sampled_part * static_cast<double>(total_steps_));
  network_.set_hardness(Hardness());
  network_.Pack(recipe_.dropout, dropout_key);
  const double loss = network_.LossAndGradient(batch, recipe_.dropout, dropout_key,
                                               task_.GradientScale(batch), &state_, Teach(batch));
  if (!std::isfinite(loss)) {
    return absl::InternalError(absl::StrFormat(
        "step %d: the loss is not finite; lower learning_rate or clip_norm", step_));
  }
  pruning_.MaskGradients(&pool_);
  constant_dimensions_.MaskGradients(&pool_);
  BITLM_RETURN_IF_ERROR(optimizer_.Step(Rate()));
  network_.embedding().ClearGradient();
  if (averages) average_->Update();
  return loss;
}

absl::StatusOr<TrainingEnd> TrainingRun::Train() {
  const int64_t segments = batcher_.segments();
  int64_t prepared_epoch = -1;
  int64_t steps_here = 0;
  double saved_at = Now();
  Batch batch;
  const bool trained = !recipe_.initial_model.empty() || !recipe_.initial_run.empty();
  if (step_ == 0 && trained) BITLM_RETURN_IF_ERROR(ValidateAndLog());
  while (step_ < last_step_ && !Finished(recipe_.schedule, schedule_)) {
    const int64_t epoch = step_ / segments;
    if (epoch != prepared_epoch) {
      batcher_.StartEpoch(epoch);
      prepared_epoch = epoch;
    }
    const double started = Now();
    batcher_.Fill(step_ % segments, &batch);
    const uint64_t dropout_key = Combine(recipe_.seed, 7000000 + static_cast<uint64_t>(step_));
    const bool averages =
        average_ && average_trigger_.fired() &&
        static_cast<double>(step_) >= recipe_.average_from * static_cast<double>(total_steps_);
    BITLM_ASSIGN_OR_RETURN(const double loss, device_ ? StepOnDevice(batch, dropout_key, averages)
                                                      : StepOnCpu(batch, dropout_key, averages));
    ++step_;
    tokens_ += batch.tokens;
    recent_loss_ += loss;
    recent_tokens_ += batch.scored;
    train_seconds_ += Now() - started;
    Report();
    const auto validations = [&](int64_t step) {
      return step * recipe_.validations_per_epoch / (segments * recipe_.epochs_per_validation);
    };
    const bool validated = validations(step_) != validations(step_ - 1) || step_ == last_step_;
    if (validated) BITLM_RETURN_IF_ERROR(ValidateAndLog());
    ++steps_here;
    if (options_.stop_after_steps > 0 && steps_here >= options_.stop_after_steps)
      return TrainingEnd::kStopped;
    const bool stop = options_.stop != nullptr && options_.stop->load();
    // On a device an epoch may take less time than its checkpoint.
    const bool ends = step_ == last_step_ || Finished(recipe_.schedule, schedule_);
    const bool saves = validated && (device_ == nullptr || ends);
    if (saves || stop || Now() - saved_at >= recipe_.checkpoint_interval_s) {
      BITLM_RETURN_IF_ERROR(WriteState());
      saved_at = Now();
    }
    if (stop) return TrainingEnd::kStopped;
  }
  return TrainingEnd::kFinished;
}

std::vector<std::pair<std::string, std::span<float>>> TrainingRun::WeightArrays() {
  std::vector<std::pair<std::string, std::span<float>>> arrays;
  for (Parameter<float>* p : network_.Parameters()) arrays.emplace_back(p->name, p->value.span());
  for (auto& [name, values] : network_.Statistics()) arrays.emplace_back(name, values);
  return arrays;
}

std::vector<std::pair<std::string, std::span<float>>> TrainingRun::StateArrays() {
  auto arrays = WeightArrays();
  const auto add = [&](const char* name, std::vector<AlignedBuffer<float>>& moments) {
    for (size_t i = 0; i < moments.size(); ++i)
      arrays.emplace_back(absl::StrFormat("%s.%d", name, i), moments[i].span());
  };
  add("first_moment", optimizer_.first_moments());
  add("second_moment", optimizer_.second_moments());
  if (average_) add("average", average_->averages());
  const auto add_state = [&](const std::string& name, Network<FastBackend>::State& state) {
    for (size_t l = 0; l < state.size(); ++l) {
      arrays.emplace_back(absl::StrFormat("%s.%d.h", name, l), state[l].h.span());
      arrays.emplace_back(absl::StrFormat("%s.%d.c", name, l), state[l].c.span());
    }
  };
  add_state("state", state_);
  for (size_t i = 0; i < teacher_states_.size(); ++i) {
    add_state(i == 0 ? "teacher_state" : absl::StrFormat("teacher_state_%d", i + 1),
              teacher_states_[i]);
  }
  return arrays;
}

absl::Status TrainingRun::WriteState() {
  BITLM_RETURN_IF_ERROR(FetchFromDevice());
  CheckpointView view{
      .numbers = {{"step", static_cast<double>(step_)},
                  {"tokens", static_cast<double>(tokens_)},
                  {"optimizer_steps", static_cast<double>(optimizer_.steps())},
                  {"average_updates", average_ ? static_cast<double>(average_->updates()) : 0.0},
                  {"schedule_factor", schedule_.factor},
                  {"schedule_stale", static_cast<double>(schedule_.stale)},
                  {"best_perplexity", schedule_.best_measure},
                  {"recent_loss", recent_loss_},
                  {"recent_tokens", static_cast<double>(recent_tokens_)},
                  {"bfloat16", Bfloat16() ? 1.0 : 0.0},
                  {"train_seconds", train_seconds_}},
      .arrays = StateArrays(),
      .identity = ResumeIdentity()};
  average_trigger_.Save(&view.numbers);
  BITLM_RETURN_IF_ERROR(WriteCheckpoint(Path("checkpoint.bin"), view));
  return WriteMetrics();
}

absl::Status TrainingRun::WriteMetrics() {
  progress_.model = recipe_.name;
  progress_.steps = step_;
  progress_.last_step = last_step_;
  progress_.tokens = tokens_;
  progress_.epochs = static_cast<double>(step_) / static_cast<double>(batcher_.segments());
  progress_.train_seconds = train_seconds_;
  progress_.learning_rate = LearningRate(recipe_.schedule, schedule_, step_, total_steps_);
  if (schedule_.best_measure < 1e300) {
    const bool classifier = recipe_.model.head == HeadKind::kClassifier;
    (classifier ? progress_.best_accuracy : progress_.best_perplexity) =
        classifier ? 1 - schedule_.best_measure : schedule_.best_measure;
  }
  progress_.unix_seconds = absl::ToUnixSeconds(absl::Now());
  return WriteFileAtomically(Path("metrics.prom"), RunMetrics(progress_));
}

absl::Status TrainingRun::ReadState() {
  CheckpointView view{.numbers = {}, .arrays = StateArrays(), .identity = ResumeIdentity()};
  BITLM_RETURN_IF_ERROR(ReadCheckpoint(Path("checkpoint.bin"), &view));
  if ((view.numbers["bfloat16"] != 0) != Bfloat16()) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "%s: the run multiplies in %s; go on with it by --precision %s", Path("checkpoint.bin"),
        Bfloat16() ? "float32" : "bfloat16", Bfloat16() ? "fp32" : "bf16"));
  }
  step_ = static_cast<int64_t>(view.numbers["step"]);
  tokens_ = static_cast<int64_t>(view.numbers["tokens"]);
  optimizer_.set_steps(static_cast<int64_t>(view.numbers["optimizer_steps"]));
  if (average_) average_->set_updates(static_cast<int64_t>(view.numbers["average_updates"]));
  average_trigger_.Restore(view.numbers);
  schedule_.factor = view.numbers["schedule_factor"];
  schedule_.stale = static_cast<int>(view.numbers["schedule_stale"]);
  schedule_.best_measure = view.numbers["best_perplexity"];
  recent_loss_ = view.numbers["recent_loss"];
  recent_tokens_ = static_cast<int64_t>(view.numbers["recent_tokens"]);
  train_seconds_ = view.numbers["train_seconds"];
  BITLM_RETURN_IF_ERROR(DropLogAfterCheckpoint());
  if (!options_.quiet) {
    std::fprintf(stderr, "resuming %s at step %lld of %lld\n", options_.output.c_str(),
                 static_cast<long long>(step_), static_cast<long long>(last_step_));
  }
  return absl::OkStatus();
}

// A kill between a validation's line and its checkpoint would leave the line twice. The checkpoint
// of step 0 comes before that step's validation.
absl::Status TrainingRun::DropLogAfterCheckpoint() {
  BITLM_ASSIGN_OR_RETURN(const std::string log, ReadFile(Path("log.csv")));
  std::string kept;
  for (absl::string_view line : absl::StrSplit(log, '\n', absl::SkipEmpty())) {
    const std::vector<absl::string_view> fields = absl::StrSplit(line, ',');
    int64_t step;
    if (fields.size() > 2 && absl::SimpleAtoi(fields[2], &step) && (step > step_ || step_ == 0))
      continue;
    absl::StrAppend(&kept, line, "\n");
  }
  return kept == log ? absl::OkStatus() : WriteFileAtomically(Path("log.csv"), kept);
}

absl::StatusOr<std::string> TrainingRun::Export() {
  device_ = nullptr;  // The best weights are here, in a file.
  CheckpointView best{.numbers = {}, .arrays = WeightArrays(), .identity = Identity()};
  BITLM_RETURN_IF_ERROR(ReadCheckpoint(Path("best.bin"), &best));
  if (recipe_.tune_temperature) TuneTemperature();
  const ContextKind context = recipe_.model.context;
  BITLM_ASSIGN_OR_RETURN(
      Model model, ExportModel(network_, vocabulary_,
                               {.name = recipe_.name,
                                .corpus = recipe_.corpus,
                                .license = recipe_.license,
                                .recipe = recipe_.name,
                                .protocol = std::string(ToString(context)),
                                .training_tokens = static_cast<int64_t>(best.numbers["tokens"])}));
  const std::string directory = Path("models/" + recipe_.name + "/1");
  BITLM_ASSIGN_OR_RETURN(const TextScore score,
                         PublishModel(std::move(model), Path("models"), recipe_.valid, &pool_));
  if (!options_.quiet) {
    std::fprintf(stderr, "\n%s: %s of %s by the serving engine\n", directory.c_str(),
                 score.Description(context).c_str(), recipe_.valid.c_str());
  }
  return directory;
}

}  // namespace bitlm::trainer
