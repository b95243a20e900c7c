// The fit of a binary matrix' planes to its latent values, as functors.h has others: FitColumns and
// FitTable of planes.h, a group of lanes to a fit.
#pragma once

#include <cstdint>

#include "trainer/device/functors.h"
#include "trainer/layers/plane_fit.h"
#include "trainer/layers/plane_levels.h"

namespace bitlm::trainer {

// Runs a fit's passes. for_each(body) calls body(value) for this lane's values; all lanes together
// have `count`.
template <typename Lane, typename ForEach>
BITLM_ANYWHERE PlaneLevels<float> FitPlanes(int planes, int64_t count, const Lane& lane,
                                            const ForEach& for_each) {
  PlaneFit fit(planes);
  for (int pass = 0; pass < PlaneFit::Passes(planes); ++pass) {
    const int thresholds = PlaneFit::Thresholds(planes, pass);
    float threshold[3] = {};
    for (int k = 0; k < thresholds; ++k)
      threshold[k] = static_cast<float>(fit.thresholds()[static_cast<size_t>(k)]);
    PlaneSums part;
    for_each([&](float value) {
      const float magnitude = value < 0 ? -value : value;
      part.sum += static_cast<double>(magnitude);
      for (int k = 0; k < thresholds; ++k) {
        if (!(magnitude > threshold[k])) continue;
        part.count_above[k] += 1;
        part.sum_above[k] += static_cast<double>(magnitude);
      }
    });
    PlaneSums sums;
    sums.count = static_cast<double>(count);
    sums.sum = lane.Sum(part.sum);
    for (int k = 0; k < thresholds; ++k) {
      sums.count_above[k] = lane.Sum(part.count_above[k]);
      sums.sum_above[k] = lane.Sum(part.sum_above[k]);
    }
    fit.Take(pass, sums);
  }
  return Rounded<float>(fit.levels());
}

// By columns: of one or two matrices that share their scales, and their operands.
template <typename Half>
struct FitColumn {
  const float* value[2];  // [rows, cols]; null = none.
  Half* operand[2];
  int64_t rows[2];
  DeviceMask mask[2];
  int64_t cols;
  int planes;
  PlaneLevels<float>* levels;  // [cols]

  template <typename Lane>
  BITLM_ANYWHERE void operator()(int64_t c, const Lane& lane) const {
    const PlaneLevels<float> fitted =
        FitPlanes(planes, rows[0] + rows[1], lane, [&](const auto& body) {
          for (int m = 0; m < 2; ++m) {
            for (int64_t r = lane.index; r < rows[m]; r += lane.width) body(value[m][r * cols + c]);
          }
        });
    for (int m = 0; m < 2; ++m) {
      for (int64_t r = lane.index; r < rows[m]; r += lane.width) {
        const float w = fitted.Value(value[m][r * cols + c]);
        operand[m][r * cols + c] = static_cast<Half>(w * mask[m].At(r, c));
      }
    }
    if (lane.index == 0) levels[c] = fitted;
  }
};

// By one row: of every `step`-th row of a table.
struct FitWholeTable {
  const float* value;
  int64_t rows, cols, step;
  int planes;
  PlaneLevels<float>* levels;  // [1]

  template <typename Lane>
  BITLM_ANYWHERE void operator()(int64_t /*row*/, const Lane& lane) const {
    const int64_t used = (rows + step - 1) / step;
    const PlaneLevels<float> fitted = FitPlanes(planes, used * cols, lane, [&](const auto& body) {
      for (int64_t r = 0; r < used; ++r) {
        for (int64_t c = lane.index; c < cols; c += lane.width) body(value[r * step * cols + c]);
      }
    });
    if (lane.index == 0) levels[0] = fitted;
  }
};

// Over a table: its operand by its levels.
template <typename Half>
struct TakeLevels {
  const float* from;
  const PlaneLevels<float>* levels;
  Half* to;

  BITLM_ANYWHERE void operator()(int64_t i) const {
    to[i] = static_cast<Half>(levels->Value(from[i]));
  }
};

}  // namespace bitlm::trainer
