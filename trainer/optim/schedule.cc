#include "trainer/optim/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace bitlm::trainer {

double LearningRate(const ScheduleOptions& options, const ScheduleState& state, int64_t step,
                    int64_t total_steps) {
  double rate = options.learning_rate;
  if (options.kind == ScheduleKind::kHalving) rate *= state.factor;
  const bool falls = options.kind == ScheduleKind::kLinear || options.kind == ScheduleKind::kCosine;
  if (falls && total_steps > options.warmup_steps) {
    const double done = static_cast<double>(std::max<int64_t>(0, step - options.warmup_steps)) /
                        static_cast<double>(total_steps - options.warmup_steps);
    const double part = std::min(1.0, done);
    const double fallen = options.kind == ScheduleKind::kLinear
                              ? part
                              : 0.5 * (1.0 - std::cos(std::numbers::pi * part));
    rate *= 1.0 - (1.0 - options.final_fraction) * fallen;
  }
  if (step < options.warmup_steps)
    rate *= static_cast<double>(step + 1) / static_cast<double>(options.warmup_steps);
  return rate;
}

bool RecordValidation(const ScheduleOptions& options, double measure, ScheduleState* state) {
  const bool best = measure < state->best_measure;
  if (best) {
    state->best_measure = measure;
    state->stale = 0;
  } else if (++state->stale >= options.patience && options.kind == ScheduleKind::kHalving) {
    state->factor *= options.decay;
    state->stale = 0;
  }
  return best;
}

bool Finished(const ScheduleOptions& options, const ScheduleState& state) {
  return options.kind == ScheduleKind::kHalving && state.factor < options.minimum_fraction;
}

}  // namespace bitlm::trainer
