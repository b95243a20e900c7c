// What a run finds on its validation text, and what it does about it.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "engine/base/status.h"
#include "trainer/train/checkpoint.h"
#include "trainer/train/training_run.h"

namespace bitlm::trainer {

Validation TrainingRun::Validate() {
  network_.set_sampling(false);
  network_.set_hardness(1);
  network_.Pack();
  return task_.Validate(*data_.valid, &network_);
}

// The loss is convex in the factor of the logits and close to a parabola in its logarithm: that
// through three points has its lowest point where we need it, or leads there from farther away.
void TrainingRun::TuneTemperature() {
  double log_scale = 0;
  const auto loss = [&](double at) {
    network_.ScaleLogits(static_cast<float>(std::exp(at - log_scale)));
    log_scale = at;
    return std::log(Validate().perplexity);
  };
  constexpr double kStep = 0.1;
  const double untuned = loss(0);
  double at = 0, tuned = untuned;
  for (bool farther = true; farther;) {
    const double below = loss(at - kStep);
    const double above = loss(at + kStep);
    const double curvature = below - 2 * tuned + above;
    // Far from its lowest point the loss bends the other way: then as far as a step goes.
    constexpr double kLongest = 2 * kStep;
    const double move =
        curvature > 0 ? std::clamp(kStep * (below - above) / (2 * curvature), -kLongest, kLongest)
                      : std::copysign(kLongest, below - above);
    const double there = loss(at + move);
    if (!(there < tuned)) break;
    at += move;
    tuned = there;
    farther = std::abs(move) == kLongest;
  }
  if (log_scale != at) loss(at);
  if (!options_.quiet) {
    std::fprintf(stderr, "\ntemperature %.4f: valid ppl %.4f instead of %.4f\n",
                 std::exp(-log_scale), std::exp(tuned), std::exp(untuned));
  }
}

absl::Status TrainingRun::ValidateAndLog() {
  const double rate = LearningRate(recipe_.schedule, schedule_, step_, total_steps_);
  // The weights that count, here and in best.bin, are the averages.
  BITLM_RETURN_IF_ERROR(FetchFromDevice());
  if (Averaging()) average_->Exchange();
  BITLM_ASSIGN_OR_RETURN(const Validation validation,
                         device_ ? ValidateOnDevice() : absl::StatusOr<Validation>(Validate()));
  average_trigger_.Record(validation.measure());
  const double train_perplexity =
      recent_tokens_ > 0 ? std::exp(recent_loss_ / static_cast<double>(recent_tokens_)) : 0;
  progress_.train_perplexity =
      recent_tokens_ > 0 ? std::optional<double>(train_perplexity) : std::nullopt;
  progress_.valid_perplexity = validation.perplexity;
  progress_.valid_accuracy = validation.accuracy;
  if (recipe_.model.self_normalized) progress_.mean_abs_log_z = validation.mean_abs_log_z;
  recent_loss_ = 0;
  recent_tokens_ = 0;
  const double epoch = static_cast<double>(step_) / static_cast<double>(batcher_.segments());
  if (RecordValidation(recipe_.schedule, validation.measure(), &schedule_)) {
    BITLM_RETURN_IF_ERROR(
        WriteCheckpoint(Path("best.bin"), {.numbers = {{"valid_perplexity", validation.perplexity},
                                                       {"tokens", static_cast<double>(tokens_)}},
                                           .arrays = WeightArrays(),
                                           .identity = Identity()}));
  }
  if (Averaging()) average_->Exchange();
  if (!options_.quiet) {
    const std::string result =
        validation.accuracy
            ? absl::StrFormat("%.2f  accuracy %.2f %%  best %.2f %%", validation.perplexity,
                              100 * *validation.accuracy, 100 * (1 - schedule_.best_measure))
            : absl::StrFormat("%.2f  best %.2f", validation.perplexity, schedule_.best_measure);
    std::fprintf(stderr, "\nepoch %.2f  lr %.4g  train ppl %.2f  valid ppl %s\n", epoch, rate,
                 train_perplexity, result.c_str());
    if (recipe_.model.self_normalized)
      std::fprintf(stderr, "mean |log Z| %.4f\n", validation.mean_abs_log_z);
  }
  std::string line = absl::StrFormat(
      "%s,%.4f,%d,%d,%.1f,%.6g,%.4f,%.4f",
      absl::FormatTime(absl::RFC3339_sec, absl::Now(), absl::UTCTimeZone()), epoch, step_, tokens_,
      train_seconds_, rate, train_perplexity, validation.perplexity);
  if (validation.accuracy) absl::StrAppendFormat(&line, ",%.6f", *validation.accuracy);
  if (recipe_.model.self_normalized)
    absl::StrAppendFormat(&line, ",%.4f", validation.mean_abs_log_z);
  line += "\n";
  std::FILE* log = std::fopen(Path("log.csv").c_str(), "a");
  const bool written = log != nullptr && std::fputs(line.c_str(), log) >= 0;
  if (log == nullptr || std::fclose(log) != 0 || !written)
    return absl::InternalError(Path("log.csv") + ": cannot write");
  return absl::OkStatus();
}

}  // namespace bitlm::trainer
