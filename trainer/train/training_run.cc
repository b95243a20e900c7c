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

namespace bitlm::trainer {
namespace {

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

TokenizedCorpus FirstTokens(TokenizedCorpus corpus, int64_t max_tokens) {
  if (max_tokens == 0) return corpus;
  while (corpus.sentences() > 1 && static_cast<int64_t>(corpus.tokens.size()) > max_tokens) {
    corpus.starts.pop_back();
    corpus.tokens.resize(static_cast<size_t>(corpus.starts.back()));
  }
  return corpus;
}

}  // namespace

absl::StatusOr<std::unique_ptr<TrainingRun>> TrainingRun::Create(const Recipe& recipe,
                                                                 const TrainingOptions& options) {
  BITLM_ASSIGN_OR_RETURN(const auto train_sentences,
                         ReadSentences(recipe.train, recipe.model.normalization));
  BITLM_ASSIGN_OR_RETURN(const auto synthetic_sentences,
                         ReadSentences(recipe.synthetic, recipe.model.normalization));
  BITLM_ASSIGN_OR_RETURN(const auto valid_sentences,
                         ReadSentences({recipe.valid}, recipe.model.normalization));
  if (train_sentences.empty()) return absl::InvalidArgumentError("data.train: no sentence");
  if (valid_sentences.empty()) return absl::InvalidArgumentError("data.valid: no sentence");
  BITLM_ASSIGN_OR_RETURN(Vocabulary vocabulary,
                         BuildVocabulary(train_sentences, recipe.vocabulary_size));
  Recipe sized = recipe;
  sized.model.vocabulary_size = vocabulary.size();
  BITLM_RETURN_IF_ERROR(CheckTrainable(sized.model));
  if (recipe.schedule.kind == ScheduleKind::kHalving && recipe.schedule.learning_rate <= 0) {
    return absl::InvalidArgumentError("learning_rate: has to be above 0");
  }
  if (recipe.tune_temperature && sized.model.output_embedding == MatrixKind::kTied &&
      (sized.model.embedding == MatrixKind::kFloat || sized.shape.fitted_scales ||
       sized.model.bit_planes > 1) &&
      sized.model.output_projection == MatrixKind::kNone) {
    return absl::InvalidArgumentError(
        "temperature: \"tuned\" needs an output_projection where a table without a scale of its "
        "own is tied");
  }
  std::error_code error;
  if (options.existing_only && !std::filesystem::exists(options.output + "/best.bin", error)) {
    return absl::NotFoundError(options.output + ": no run with a validated model (best.bin)");
  }
  std::filesystem::create_directories(options.output, error);
  if (error) {
    return absl::InternalError(
        absl::StrFormat("%s: cannot create: %s", options.output, error.message()));
  }
  std::optional<FileLock> lock;
  if (!options.existing_only) {
    BITLM_ASSIGN_OR_RETURN(lock, FileLock::Acquire(options.output + "/lock"));
  }
  TokenizedCorpus train =
      FirstTokens(TokenizeCorpus(train_sentences, vocabulary), recipe.max_tokens);
  Append(TokenizeCorpus(synthetic_sentences, vocabulary), &train);
  std::unique_ptr<TrainingRun> run(new TrainingRun(
      sized, options, std::move(train), TokenizeCorpus(valid_sentences, vocabulary), vocabulary));
  run->lock_ = std::move(lock);
  if (options.existing_only) return run;
  BITLM_RETURN_IF_ERROR(run->MakeTeacher());
  if (std::filesystem::exists(run->Path("checkpoint.bin"), error)) {
    BITLM_RETURN_IF_ERROR(run->ReadState());
  } else {
    BITLM_RETURN_IF_ERROR(run->Initialize());
    BITLM_RETURN_IF_ERROR(WriteFileAtomically(run->Path("recipe.txt"), recipe.text));
    BITLM_RETURN_IF_ERROR(WriteFileAtomically(
        run->Path("log.csv"),
        "time,epoch,step,tokens,train_seconds,learning_rate,train_perplexity,valid_perplexity\n"));
  }
  return run;
}

// Recipe, texts and words: what a checkpoint must have in common with the run that goes on from it.
std::string TrainingRun::Identity() const {
  const auto digest = [](const TokenizedCorpus& corpus) {
    const auto bytes = [](const auto& values) {
      return std::string_view(reinterpret_cast<const char*>(values.data()),
                              values.size() * sizeof(values[0]));
    };
    return Sha256Hex(Sha256Hex(bytes(corpus.tokens)) + Sha256Hex(bytes(corpus.starts)));
  };
  return absl::StrFormat("%s# training text %s, validation text %s, vocabulary %s\n", recipe_.text,
                         digest(train_), digest(valid_), Sha256Hex(vocabulary_.Serialize()));
}

// A run must not go on with another teacher. To export it none is needed.
std::string TrainingRun::ResumeIdentity() const {
  if (!teacher_) return Identity();
  return absl::StrFormat("%s# teacher %s\n", Identity(), teacher_digest_);
}

TrainingRun::TrainingRun(const Recipe& recipe, const TrainingOptions& options,
                         TokenizedCorpus train, TokenizedCorpus valid, Vocabulary vocabulary)
    : recipe_(recipe),
      options_(options),
      train_(std::move(train)),
      valid_(std::move(valid)),
      vocabulary_(std::move(vocabulary)),
      pool_(options.threads),
      backend_(options.precision, &pool_),
      network_(backend_, recipe.model, recipe.shape),
      optimizer_(recipe.optimizer, network_.Parameters(), &pool_),
      batcher_(train_, recipe.model.context, recipe.shape.streams, recipe.shape.steps, recipe.seed,
               /*shuffle=*/true, vocabulary_.end_of_sentence_id()),
      valid_batcher_(valid_, recipe.model.context, recipe.shape.streams, recipe.shape.steps, 0,
                     /*shuffle=*/false, vocabulary_.end_of_sentence_id()),
      state_(network_.ZeroState()) {
  if (recipe.average_decay > 0)
    average_.emplace(recipe.average_decay, network_.Parameters(), &pool_);
  total_steps_ =
      std::max<int64_t>(1, std::llround(recipe.epochs * static_cast<double>(batcher_.segments())));
}

// Of this step's binary matrices.
float TrainingRun::Hardness() const {
  const double annealed = recipe_.anneal * static_cast<double>(total_steps_);
  const auto step = static_cast<double>(step_);
  return step < annealed ? static_cast<float>(step / annealed) : 1.0f;
}

double TrainingRun::Validate() {
  network_.set_sampling(false);
  network_.set_hardness(1);
  network_.Pack();
  Network<FastBackend>::State state = network_.ZeroState();
  Batch batch;
  double loss = 0;
  int64_t tokens = 0;
  for (int64_t i = 0; i < valid_batcher_.segments(); ++i) {
    valid_batcher_.Fill(i, &batch);
    loss += network_.Loss(batch, &state);
    tokens += batch.scored;
  }
  return std::exp(loss / static_cast<double>(tokens));
}

// The loss is convex in the factor of the logits and close to a parabola in its logarithm: that
// through three points has its lowest point where we need it.
void TrainingRun::TuneTemperature() {
  double log_scale = 0;
  const auto loss = [&](double at) {
    network_.ScaleLogits(static_cast<float>(std::exp(at - log_scale)));
    log_scale = at;
    return std::log(Validate());
  };
  constexpr double kStep = 0.1;
  const double middle = loss(0);
  const double below = loss(-kStep);
  const double above = loss(kStep);
  const double curvature = below - 2 * middle + above;
  double best = 0;
  if (curvature > 0) {
    best = std::clamp(kStep * (below - above) / (2 * curvature), -2 * kStep, 2 * kStep);
  }
  const double tuned = loss(best);
  if (!(tuned < middle)) loss(0);
  if (!options_.quiet) {
    std::fprintf(stderr, "\ntemperature %.4f: valid ppl %.4f instead of %.4f\n",
                 std::exp(-log_scale), std::exp(std::min(tuned, middle)), std::exp(middle));
  }
}

absl::Status TrainingRun::ValidateAndLog() {
  const double rate = LearningRate(recipe_.schedule, schedule_, step_, total_steps_);
  // The weights that count, here and in best.bin, are the averages.
  if (Averaging()) average_->Exchange();
  const double perplexity = Validate();
  const double train_perplexity =
      recent_tokens_ > 0 ? std::exp(recent_loss_ / static_cast<double>(recent_tokens_)) : 0;
  recent_loss_ = 0;
  recent_tokens_ = 0;
  const double epoch = static_cast<double>(step_) / static_cast<double>(batcher_.segments());
  if (RecordValidation(recipe_.schedule, perplexity, &schedule_)) {
    BITLM_RETURN_IF_ERROR(WriteCheckpoint(
        Path("best.bin"),
        {.numbers = {{"valid_perplexity", perplexity}, {"tokens", static_cast<double>(tokens_)}},
         .arrays = WeightArrays(),
         .identity = Identity()}));
  }
  if (Averaging()) average_->Exchange();
  if (!options_.quiet) {
    std::fprintf(stderr, "\nepoch %.2f  lr %.4g  train ppl %.2f  valid ppl %.2f  best %.2f\n",
                 epoch, rate, train_perplexity, perplexity, schedule_.best_perplexity);
  }
  const std::string line =
      absl::StrFormat("%s,%.4f,%d,%d,%.1f,%.6g,%.4f,%.4f\n",
                      absl::FormatTime(absl::RFC3339_sec, absl::Now(), absl::UTCTimeZone()), epoch,
                      step_, tokens_, train_seconds_, rate, train_perplexity, perplexity);
  std::FILE* log = std::fopen(Path("log.csv").c_str(), "a");
  const bool written = log != nullptr && std::fputs(line.c_str(), log) >= 0;
  if (log == nullptr || std::fclose(log) != 0 || !written)
    return absl::InternalError(Path("log.csv") + ": cannot write");
  return absl::OkStatus();
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
  const double left = static_cast<double>(total_steps_ - step_) *
                      static_cast<double>(recipe_.shape.streams * recipe_.shape.steps);
  std::fprintf(
      stderr, "%sstep %lld/%lld  epoch %.2f  train ppl %.2f  %.0f tokens/s  ETA %s%s",
      terminal ? "\r" : "", static_cast<long long>(step_), static_cast<long long>(total_steps_),
      static_cast<double>(step_) / static_cast<double>(batcher_.segments()),
      recent_tokens_ > 0 ? std::exp(recent_loss_ / static_cast<double>(recent_tokens_)) : 0.0,
      speed, absl::FormatDuration(absl::Seconds(std::round(left / std::max(1.0, speed)))).c_str(),
      terminal ? "   " : "\n");
  shown_at_ = now;
  shown_tokens_ = tokens_;
}

absl::StatusOr<TrainingEnd> TrainingRun::Train() {
  const int64_t segments = batcher_.segments();
  // The loss is summed over time and averaged over streams, as in Zaremba et al. 2014.
  const float scale = 1.0f / static_cast<float>(recipe_.shape.streams);
  int64_t prepared_epoch = -1;
  int64_t steps_here = 0;
  double saved_at = Now();
  Batch batch;
  if (step_ == 0 && !recipe_.initial_model.empty()) BITLM_RETURN_IF_ERROR(ValidateAndLog());
  while (step_ < total_steps_ && !Finished(recipe_.schedule, schedule_)) {
    const int64_t epoch = step_ / segments;
    if (epoch != prepared_epoch) {
      batcher_.StartEpoch(epoch);
      prepared_epoch = epoch;
    }
    const double started = Now();
    batcher_.Fill(step_ % segments, &batch);
    const uint64_t dropout_key = Combine(recipe_.seed, 7000000 + static_cast<uint64_t>(step_));
    network_.set_sampling(static_cast<double>(step_) <
                          recipe_.sampled_part * static_cast<double>(total_steps_));
    network_.set_hardness(Hardness());
    network_.Pack(recipe_.dropout, dropout_key);
    Teacher<float> teacher;
    if (teacher_) {
      teacher =
          teacher_->Teach(batch, static_cast<float>(recipe_.distillation_weight), &teacher_state_);
    }
    const double loss =
        network_.LossAndGradient(batch, recipe_.dropout, dropout_key, scale, &state_, teacher);
    if (!std::isfinite(loss)) {
      return absl::InternalError(absl::StrFormat(
          "step %d: the loss is not finite; lower learning_rate or clip_norm", step_));
    }
    BITLM_RETURN_IF_ERROR(
        optimizer_.Step(LearningRate(recipe_.schedule, schedule_, step_, total_steps_)));
    network_.embedding().ClearGradient();
    if (average_ &&
        static_cast<double>(step_) >= recipe_.average_from * static_cast<double>(total_steps_)) {
      average_->Update();
    }
    ++step_;
    tokens_ += batch.scored;
    recent_loss_ += loss;
    recent_tokens_ += batch.scored;
    train_seconds_ += Now() - started;
    Report();
    const int64_t per_epoch = recipe_.validations_per_epoch;
    const bool validated =
        step_ * per_epoch / segments != (step_ - 1) * per_epoch / segments || step_ == total_steps_;
    if (validated) BITLM_RETURN_IF_ERROR(ValidateAndLog());
    ++steps_here;
    if (options_.stop_after_steps > 0 && steps_here >= options_.stop_after_steps)
      return TrainingEnd::kStopped;
    const bool stop = options_.stop != nullptr && options_.stop->load();
    if (validated || stop || Now() - saved_at >= recipe_.checkpoint_interval_s) {
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
  const auto add_state = [&](const char* name, Network<FastBackend>::State& state) {
    for (size_t l = 0; l < state.size(); ++l) {
      arrays.emplace_back(absl::StrFormat("%s.%d.h", name, l), state[l].h.span());
      arrays.emplace_back(absl::StrFormat("%s.%d.c", name, l), state[l].c.span());
    }
  };
  add_state("state", state_);
  add_state("teacher_state", teacher_state_);
  return arrays;
}

absl::Status TrainingRun::WriteState() {
  return WriteCheckpoint(
      Path("checkpoint.bin"),
      {.numbers = {{"step", static_cast<double>(step_)},
                   {"tokens", static_cast<double>(tokens_)},
                   {"optimizer_steps", static_cast<double>(optimizer_.steps())},
                   {"average_updates", average_ ? static_cast<double>(average_->updates()) : 0.0},
                   {"schedule_factor", schedule_.factor},
                   {"schedule_stale", static_cast<double>(schedule_.stale)},
                   {"best_perplexity", schedule_.best_perplexity},
                   {"recent_loss", recent_loss_},
                   {"recent_tokens", static_cast<double>(recent_tokens_)},
                   {"bfloat16", Bfloat16() ? 1.0 : 0.0},
                   {"train_seconds", train_seconds_}},
       .arrays = StateArrays(),
       .identity = ResumeIdentity()});
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
  schedule_.factor = view.numbers["schedule_factor"];
  schedule_.stale = static_cast<int>(view.numbers["schedule_stale"]);
  schedule_.best_perplexity = view.numbers["best_perplexity"];
  recent_loss_ = view.numbers["recent_loss"];
  recent_tokens_ = static_cast<int64_t>(view.numbers["recent_tokens"]);
  train_seconds_ = view.numbers["train_seconds"];
  BITLM_RETURN_IF_ERROR(DropLogAfterCheckpoint());
  if (!options_.quiet) {
    std::fprintf(stderr, "resuming %s at step %lld of %lld\n", options_.output.c_str(),
                 static_cast<long long>(step_), static_cast<long long>(total_steps_));
  }
  return absl::OkStatus();
}

// A kill between a validation's line and its checkpoint would leave the line twice.
absl::Status TrainingRun::DropLogAfterCheckpoint() {
  BITLM_ASSIGN_OR_RETURN(const std::string log, ReadFile(Path("log.csv")));
  std::string kept;
  for (absl::string_view line : absl::StrSplit(log, '\n', absl::SkipEmpty())) {
    const std::vector<absl::string_view> fields = absl::StrSplit(line, ',');
    int64_t step;
    if (fields.size() > 2 && absl::SimpleAtoi(fields[2], &step) && step > step_) continue;
    absl::StrAppend(&kept, line, "\n");
  }
  return kept == log ? absl::OkStatus() : WriteFileAtomically(Path("log.csv"), kept);
}

absl::StatusOr<std::string> TrainingRun::Export() {
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
  BITLM_ASSIGN_OR_RETURN(const double perplexity,
                         PublishModel(std::move(model), Path("models"), recipe_.valid, &pool_));
  if (!options_.quiet) {
    std::fprintf(stderr, "\n%s: %s perplexity of %s by the serving engine: %.4f\n",
                 directory.c_str(), std::string(ToString(context)).c_str(), recipe_.valid.c_str(),
                 perplexity);
  }
  return directory;
}

}  // namespace bitlm::trainer
