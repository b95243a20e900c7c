// Arrivals: when an open loop sends its requests, whatever becomes of those before.
#pragma once

#include <cstdint>
#include <random>

#include "absl/time/time.h"

namespace bitlm::bench {

enum class ArrivalKind {
  kConstant,  // Evenly spaced.
  kPoisson,   // Independent users: exponential gaps.
};

class Arrivals {
 public:
  // `rate` > 0 a second.
  Arrivals(ArrivalKind kind, double rate, uint64_t seed)
      : kind_(kind), rate_(rate), random_(seed) {}

  // The time of the next request since the start of the load.
  absl::Duration Next();

 private:
  ArrivalKind kind_;
  double rate_;
  std::mt19937_64 random_;
  double seconds_ = 0;
  int64_t count_ = 0;
};

}  // namespace bitlm::bench
