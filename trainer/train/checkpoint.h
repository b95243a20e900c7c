// Checkpoint: everything that a training run needs to go on as if it had never stopped.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace bitlm::trainer {

// Named numbers and named float arrays. The arrays are views into the trainer's own memory, for
// both directions.
struct CheckpointView {
  std::map<std::string, double> numbers;
  std::vector<std::pair<std::string, std::span<float>>> arrays;
  std::string identity;  // Of the run: a checkpoint does not resume another one.
};

// Writes atomically: after a kill the previous checkpoint or this one is there, whole.
absl::Status WriteCheckpoint(const std::string& path, const CheckpointView& view);

// The identity alone. Errors: NOT_FOUND; DATA_LOSS.
absl::StatusOr<std::string> ReadCheckpointIdentity(const std::string& path);

// Fills the arrays of `view` and its numbers, if the file's identity is view's. Errors: NOT_FOUND;
// DATA_LOSS for a damaged file; FAILED_PRECONDITION when names or sizes of the arrays are others.
absl::Status ReadCheckpoint(const std::string& path, CheckpointView* view);

}  // namespace bitlm::trainer
