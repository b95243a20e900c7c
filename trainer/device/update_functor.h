// An optimizer's step, value by value.
#pragma once

#include <cmath>
#include <cstdint>

#include "trainer/device/functors.h"
#include "trainer/layers/plane_levels.h"

namespace bitlm::trainer {

// Over a parameter: Optimizer::Step and WeightAverage::Update.
struct UpdateParameter {
  bool adam;
  float rate;  // Of Adam divided by its first correction.
  float decay, l2;
  float limit;                       // Of latent values with learned scales; 0 = none.
  const PlaneLevels<float>* levels;  // Of those with fitted ones, by column or one; or null.
  bool by_column;
  float beta1, beta2, epsilon, second_correction;
  double clip_norm;  // 0 = not
  const double* squared_norm;
  int64_t cols;
  const uint8_t* touched;  // Rows of a sparse parameter, or null.
  float average_share;     // 0 = not
  const float* gradient;
  float* value;
  float* first;
  float* second;
  float* average;

  BITLM_ANYWHERE void operator()(int64_t i) const {
    const double squares = *squared_norm;
    if (!(squares < 1e300)) return;  // Not finite: nothing changes.
    float w = value[i];
    if (touched == nullptr || touched[i / cols] != 0) {
      const double norm = std::sqrt(squares);
      const float clip =
          clip_norm > 0 && norm > clip_norm ? static_cast<float>(clip_norm / norm) : 1.0f;
      const float g = gradient[i] * clip + l2 * w;
      if (adam) {
        const float m = beta1 * first[i] + (1.0f - beta1) * g;
        const float v = beta2 * second[i] + (1.0f - beta2) * g * g;
        first[i] = m;
        second[i] = v;
        w = w * decay - rate * m / (std::sqrt(v * second_correction) + epsilon);
      } else {
        w = w * decay - rate * g;
      }
      const float most = levels != nullptr ? levels[by_column ? i % cols : 0].limit : limit;
      if (levels != nullptr || limit > 0) w = w > most ? most : w < -most ? -most : w;
      value[i] = w;
    }
    if (average_share > 0) average[i] += average_share * (w - average[i]);
  }
};

}  // namespace bitlm::trainer
