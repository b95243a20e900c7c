// Batch: one segment of truncated back-propagation through time.
#pragma once

#include <cstdint>
#include <vector>

namespace bitlm::trainer {

// B parallel streams of T steps; entry t * B + b. Targets below 0 are not scored (padding; a
// classifier's sentence but for its end).
struct Batch {
  int64_t streams = 0;           // B
  int64_t steps = 0;             // T
  std::vector<int32_t> inputs;   // [T * B] token ids
  std::vector<int32_t> targets;  // [T * B] token ids, or classes, or -1
  std::vector<uint8_t> resets;   // [T * B] 1 = the state is zero before this step
  int64_t scored = 0;            // Targets that are not negative.
  int64_t tokens = 0;            // Steps of the text, without padding.
};

}  // namespace bitlm::trainer
