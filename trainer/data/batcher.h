// Batcher: what a run trains on or is validated on, as segments.
#pragma once

#include <cstdint>

#include "trainer/layers/batch.h"

namespace bitlm::trainer {

// A pure function of its arguments: resuming needs only the epoch and the segment's number.
class Batcher {
 public:
  virtual ~Batcher() = default;

  // Prepares epoch `epoch`, from 0.
  virtual void StartEpoch(int64_t epoch) = 0;
  // Of every epoch.
  virtual int64_t segments() const = 0;
  // Segment `index` in [0, segments()) of the current epoch.
  virtual void Fill(int64_t index, Batch* batch) const = 0;
};

}  // namespace bitlm::trainer
