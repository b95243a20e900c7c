// BatchCost: what a batch of so many rows will take, learned from recent ones.
#pragma once

#include <cstdint>

#include "absl/time/time.h"

namespace bitlm {

// A line through the recent batches' rows and times, by least squares with geometric weights.
class BatchCost {
 public:
  // A batch of `rows` > 0 took `time`. What took much longer than was to be expected was held up by
  // something else, and counts as that much longer only.
  void Learn(int64_t rows, absl::Duration time);
  // Zero before the first batch.
  absl::Duration Estimate(int64_t rows) const;

 private:
  // Sums over batches.
  double weight_ = 0, rows_ = 0, seconds_ = 0, rows_squared_ = 0, rows_seconds_ = 0;
};

}  // namespace bitlm
