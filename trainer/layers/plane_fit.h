// The fit of planes to values (planes.h) as a sequence of passes over them, whoever makes these:
// the CPU's threads or a device's.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "trainer/layers/plane_levels.h"

namespace bitlm::trainer {

// Values that a table's scales are fitted to, at least: every n-th row of a larger one.
inline constexpr int64_t kTableSample = 1 << 18;

// What one fit needs of its values, by the thresholds of the last pass.
struct PlaneSums {
  double count = 0, sum = 0;
  double count_above[3] = {}, sum_above[3] = {};
};

// The fit of one group of values as a sequence of passes over them: each asks for Sums with
// thresholds(), and Take moves on.
class PlaneFit {
 public:
  constexpr explicit PlaneFit(int planes = 1) : planes_(planes) { levels_.planes = planes; }

  constexpr int planes() const { return planes_; }
  // Passes that a fit takes.
  static constexpr int Passes(int planes);
  // How many thresholds a pass looks at: 0, 1 or 3.
  static constexpr int Thresholds(int planes, int pass) {
    return planes == 1 || pass == 0 ? 0 : planes == 2 || pass == 1 ? 1 : 3;
  }
  constexpr const std::array<double, 3>& thresholds() const { return levels_.threshold; }
  constexpr const PlaneLevels<double>& levels() const { return levels_; }

  constexpr void Take(int pass, const PlaneSums& sums);

 private:
  // Rounds of least squares, by planes, and how far all but the last go: beyond the minimum,
  // because the levels that values go to change with the scales. Below 2 no round raises the error.
  static constexpr int kRoundsOf2 = 4, kRoundsOf3 = 6;
  static constexpr double kRelaxation = 1.7;

  struct Bin {
    double count, sum;
  };
  // Values between thresholds k - 1 and k of n.
  static constexpr Bin BinOf(const PlaneSums& sums, int k, int n);
  constexpr void Set() {
    SetScales<double>({scale_.data(), static_cast<size_t>(planes_)}, &levels_);
  }

  // Given the levels that the values go to, the scales with the least squared error.
  constexpr void LeastSquares(const PlaneSums& sums, double relaxation);
  constexpr void Move(const std::array<double, 3>& to, double relaxation);

  int planes_;
  std::array<double, 3> scale_{};
  PlaneLevels<double> levels_;
};

constexpr int PlaneFit::Passes(int planes) {
  return planes == 1 ? 1 : planes == 2 ? 1 + kRoundsOf2 : 3 + kRoundsOf3;
}

constexpr void PlaneFit::Take(int pass, const PlaneSums& sums) {
  if (!(sums.count > 0)) return;
  if (pass == 0) {
    scale_[0] = sums.sum / sums.count;
    levels_.limit = 3 * scale_[0];
    levels_.threshold[0] = scale_[0];
    // The fit of two planes to equal magnitudes, too, of which least squares says nothing.
    if (planes_ <= 2) Set();
    return;
  }
  if (planes_ == 3 && pass <= 2) {
    // Greedy: the mean distance to the nearest level so far.
    double distance = 0;
    const int n = pass == 1 ? 1 : 3;
    for (int k = 0; k <= n; ++k) {
      const Bin bin = BinOf(sums, k, n);
      const double center = pass == 1 ? scale_[0] : scale_[0] + (k < 2 ? -1 : 1) * scale_[1];
      // Between two thresholds the values are on one side of their level.
      const bool above = k % 2 == 1;
      distance += (above ? 1 : -1) * (bin.sum - center * bin.count);
    }
    scale_[static_cast<size_t>(pass)] = distance / sums.count;
    if (pass == 1) {
      levels_.threshold = {scale_[0] - scale_[1], scale_[0], scale_[0] + scale_[1]};
    } else {
      Set();
    }
    return;
  }
  LeastSquares(sums, pass + 1 == Passes(planes_) ? 1 : kRelaxation);
}

constexpr PlaneFit::Bin PlaneFit::BinOf(const PlaneSums& sums, int k, int n) {
  Bin bin =
      k == 0 ? Bin{sums.count, sums.sum} : Bin{sums.count_above[k - 1], sums.sum_above[k - 1]};
  if (k < n) {
    bin.count -= sums.count_above[k];
    bin.sum -= sums.sum_above[k];
  }
  return bin;
}

constexpr void PlaneFit::LeastSquares(const PlaneSums& sums, double relaxation) {
  if (planes_ == 2) {
    const Bin low = BinOf(sums, 0, 1), high = BinOf(sums, 1, 1);
    if (low.count < 0.5 || high.count < 0.5) return;
    return Move({(high.sum / high.count + low.sum / low.count) / 2,
                 (high.sum / high.count - low.sum / low.count) / 2, 0},
                relaxation);
  }
  // Normal equations: the sum over bins of n c c^T s = the sum of S c.
  const double n = sums.count;
  double gram[3] = {}, target[3] = {};  // Of the planes (0, 1), (0, 2), (1, 2).
  for (int k = 0; k < 4; ++k) {
    const Bin bin = BinOf(sums, k, 3);
    double c[3] = {};
    for (int p = 0; p < 3; ++p) c[p] = levels_.code[static_cast<size_t>(k)] >> p & 1 ? 1 : -1;
    gram[0] += bin.count * c[0] * c[1];
    gram[1] += bin.count * c[0] * c[2];
    gram[2] += bin.count * c[1] * c[2];
    for (int p = 0; p < 3; ++p) target[p] += bin.sum * c[p];
  }
  const double a = gram[0] / n, b = gram[1] / n, d = gram[2] / n;
  const double determinant = 1 + 2 * a * b * d - a * a - b * b - d * d;
  if (!(determinant > 1e-6)) return;
  const double x = target[0] / n, y = target[1] / n, z = target[2] / n;
  Move({(x * (1 - d * d) + y * (b * d - a) + z * (a * d - b)) / determinant,
        (x * (b * d - a) + y * (1 - b * b) + z * (a * b - d)) / determinant,
        (x * (a * d - b) + y * (a * b - d) + z * (1 - a * a)) / determinant},
       relaxation);
}

constexpr void PlaneFit::Move(const std::array<double, 3>& to, double relaxation) {
  for (size_t p = 0; p < 3; ++p) scale_[p] += relaxation * (to[p] - scale_[p]);
  Set();
}

}  // namespace bitlm::trainer
