// The fit of a binary matrix' planes to its latent values, as functors.h has others: FitColumns and
// FitTable of planes.h.
#pragma once

#include <cstdint>

#include "trainer/device/functors.h"
#include "trainer/layers/plane_fit.h"
#include "trainer/layers/plane_levels.h"

namespace bitlm::trainer {

// What a pass of a fit needs of `count` values: for_each(body) calls body(value) for this lane's.
template <typename Lane, typename ForEach>
BITLM_ANYWHERE PlaneSums SumPlanes(const PlaneFit& fit, int pass, double count, const Lane& lane,
                                   const ForEach& for_each) {
  const int thresholds = PlaneFit::Thresholds(fit.planes(), pass);
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
  sums.count = count;
  sums.sum = lane.Sum(part.sum);
  for (int k = 0; k < thresholds; ++k) {
    sums.count_above[k] = lane.Sum(part.count_above[k]);
    sums.sum_above[k] = lane.Sum(part.sum_above[k]);
  }
  return sums;
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
    PlaneFit fit(planes);
    for (int pass = 0; pass < PlaneFit::Passes(planes); ++pass) {
      fit.Take(pass, SumPlanes(fit, pass, static_cast<double>(rows[0] + rows[1]), lane,
                               [&](const auto& body) {
                                 for (int m = 0; m < 2; ++m) {
                                   for (int64_t r = lane.index; r < rows[m]; r += lane.width)
                                     body(value[m][r * cols + c]);
                                 }
                               }));
    }
    const PlaneLevels<float> fitted = Rounded<float>(fit.levels());
    for (int m = 0; m < 2; ++m) {
      for (int64_t r = lane.index; r < rows[m]; r += lane.width) {
        const float w = fitted.Value(value[m][r * cols + c]);
        operand[m][r * cols + c] = static_cast<Half>(w * mask[m].At(r, c));
      }
    }
    if (lane.index == 0) levels[c] = fitted;
  }
};

// A table's fit on its way: many groups of lanes sum a pass, one takes it.
struct TableFit {
  PlaneFit fit;
  PlaneLevels<float> levels;
};

// By parts: the sums of a part of every `step`-th row of a table.
struct SumTablePart {
  const float* value;
  int64_t rows, cols, step, parts;
  int planes, pass;
  const TableFit* table;
  PlaneSums* sums;  // [parts]

  template <typename Lane>
  BITLM_ANYWHERE void operator()(int64_t part, const Lane& lane) const {
    const int64_t count = (rows + step - 1) / step * cols;
    const int64_t size = (count + parts - 1) / parts;
    const int64_t first = part * size < count ? part * size : count;
    const int64_t end = first + size < count ? first + size : count;
    const PlaneFit fit = pass == 0 ? PlaneFit(planes) : table->fit;
    const PlaneSums of_part =
        SumPlanes(fit, pass, static_cast<double>(end - first), lane, [&](const auto& body) {
          for (int64_t i = first + lane.index; i < end; i += lane.width)
            body(value[i / cols * step * cols + i % cols]);
        });
    if (lane.index == 0) sums[part] = of_part;
  }
};

// By one row: takes what the parts have summed.
struct TakeTablePass {
  const PlaneSums* sums;  // [parts]
  int64_t parts;
  int planes, pass;
  TableFit* table;

  template <typename Lane>
  BITLM_ANYWHERE void operator()(int64_t /*row*/, const Lane& lane) const {
    const auto total = [&](const auto& of) {
      double part = 0;
      for (int64_t p = lane.index; p < parts; p += lane.width) part += of(sums[p]);
      return lane.Sum(part);
    };
    PlaneSums all;
    all.count = total([](const PlaneSums& s) { return s.count; });
    all.sum = total([](const PlaneSums& s) { return s.sum; });
    for (int k = 0; k < 3; ++k) {
      all.count_above[k] = total([k](const PlaneSums& s) { return s.count_above[k]; });
      all.sum_above[k] = total([k](const PlaneSums& s) { return s.sum_above[k]; });
    }
    if (lane.index != 0) return;
    PlaneFit fit = pass == 0 ? PlaneFit(planes) : table->fit;
    fit.Take(pass, all);
    table->fit = fit;
    if (pass + 1 == PlaneFit::Passes(planes)) table->levels = Rounded<float>(fit.levels());
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
