// Learning-rate schedules.
#pragma once

#include <cstdint>

namespace bitlm::trainer {

enum class ScheduleKind {
  kHalving,  // [LCY18] section 4.2: multiplied by `decay` after `patience` validations without a
             // better perplexity.
  kLinear,   // Falls linearly from the peak to `final_fraction` of it over the whole run.
  kCosine,   // The same ends, along half a period of a cosine (Loshchilov and Hutter 2017,
             // arXiv:1608.03983, equation 5, without restarts).
  kConstant,
};

struct ScheduleOptions {
  ScheduleKind kind = ScheduleKind::kHalving;
  double learning_rate = 1.0;  // learning_rate: the peak
  int64_t warmup_steps = 0;    // warmup_steps: rises linearly from 0 over so many steps
  double decay = 0.5;          // decay (halving)
  int patience = 1;            // patience (halving): validations
  double minimum_fraction =
      1e-3;  // minimum_fraction (halving): training ends below this fraction of the peak
  double final_fraction = 0.02;  // final_fraction (linear, cosine)
};

// What a checkpoint keeps of a schedule.
struct ScheduleState {
  double factor = 1;            // Halving's product so far.
  int stale = 0;                // Validations since the best or the last halving.
  double best_measure = 1e300;  // The least.
};

// Learning rate of step `step` (from 0) of `total_steps`.
double LearningRate(const ScheduleOptions& options, const ScheduleState& state, int64_t step,
                    int64_t total_steps);

// Records a validation, by its perplexity or another measure of which less is better; true when it
// is the best so far.
bool RecordValidation(const ScheduleOptions& options, double measure, ScheduleState* state);

// Halving has reached its minimum: more steps change little.
bool Finished(const ScheduleOptions& options, const ScheduleState& state);

}  // namespace bitlm::trainer
