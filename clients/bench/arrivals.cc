#include "clients/bench/arrivals.h"

namespace bitlm::bench {

absl::Duration Arrivals::Next() {
  if (kind_ == ArrivalKind::kConstant) {
    return absl::Seconds(static_cast<double>(count_++) / rate_);  // No error adds up.
  }
  seconds_ += std::exponential_distribution<double>(rate_)(random_);
  return absl::Seconds(seconds_);
}

}  // namespace bitlm::bench
