// The average of the weights over the steps of a run, which is often better than the last ones.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/base/thread_pool.h"
#include "trainer/layers/parameter.h"

namespace bitlm::trainer {

// After n updates the average weighs a new value by max(1 - decay, 1 / n): at first the mean of all
// values (averaged SGD, Polyak and Juditsky 1992; Merity et al. 2018 section 5), which it stays
// with decay 1; then their exponential moving average. Of a binary matrix it is that of the latent
// values, whose signs are the matrix.
class WeightAverage {
 public:
  WeightAverage(double decay, std::vector<Parameter<float>*> parameters, ThreadPool* pool);

  // Takes the parameters' present values in.
  void Update();
  // Counts an update that somebody else makes, average += share * (value - average), and returns
  // its share.
  float CountUpdate();

  // Exchanges the parameters' values with their averages; again, and they are back.
  void Exchange();

  // For checkpoints: how many values the averages are of, and they in the order of the parameters.
  int64_t updates() const { return updates_; }
  void set_updates(int64_t updates) { updates_ = updates; }
  std::vector<AlignedBuffer<float>>& averages() { return averages_; }

 private:
  double decay_;
  std::vector<Parameter<float>*> parameters_;
  ThreadPool* pool_;
  int64_t updates_ = 0;
  std::vector<AlignedBuffer<float>> averages_;
};

}  // namespace bitlm::trainer
