#include "server/batching/batch_cost.h"

#include <algorithm>

namespace bitlm {
namespace {

constexpr double kKept = 0.97;  // Of a batch's weight, with every later one.
constexpr double kHeldUp = 2;
// Batches that all have about as many rows do not tell what a row costs.
constexpr double kMinVariance = 0.25;

}  // namespace

void BatchCost::Learn(int64_t rows, absl::Duration time) {
  constexpr double kLeast = 1e-9;  // The wall clock may go back.
  double seconds = std::max(kLeast, absl::ToDoubleSeconds(time));
  if (weight_ > 1) seconds = std::min(seconds, kHeldUp * absl::ToDoubleSeconds(Estimate(rows)));
  const auto n = static_cast<double>(rows);
  weight_ = kKept * weight_ + 1;
  rows_ = kKept * rows_ + n;
  seconds_ = kKept * seconds_ + seconds;
  rows_squared_ = kKept * rows_squared_ + n * n;
  rows_seconds_ = kKept * rows_seconds_ + n * seconds;
}

absl::Duration BatchCost::Estimate(int64_t rows) const {
  if (weight_ == 0) return absl::ZeroDuration();
  const double mean_rows = rows_ / weight_, mean_seconds = seconds_ / weight_;
  const double variance = rows_squared_ / weight_ - mean_rows * mean_rows;
  const double covariance = rows_seconds_ / weight_ - mean_rows * mean_seconds;
  // From nothing for no rows to all of it by the row.
  const double a_row = variance > kMinVariance
                           ? std::clamp(covariance / variance, 0.0, mean_seconds / mean_rows)
                           : 0;
  return absl::Seconds(mean_seconds + a_row * (static_cast<double>(rows) - mean_rows));
}

}  // namespace bitlm
