// The fit of planes to values (planes.h) as a sequence of passes over them, whoever makes these.
#pragma once

#include <array>

#include "trainer/layers/planes.h"

namespace bitlm::trainer {

// What one fit needs of its values, by the thresholds of the last pass.
struct PlaneSums {
  double count = 0, sum = 0;
  double count_above[3] = {}, sum_above[3] = {};
};

// The fit of one group of values as a sequence of passes over them: each asks for Sums with
// thresholds(), and Take moves on.
class PlaneFit {
 public:
  explicit PlaneFit(int planes) : planes_(planes) { levels_.planes = planes; }

  int planes() const { return planes_; }
  // Passes that a fit takes.
  static int Passes(int planes);
  // How many thresholds a pass looks at: 0, 1 or 3.
  static int Thresholds(int planes, int pass) {
    return planes == 1 || pass == 0 ? 0 : planes == 2 || pass == 1 ? 1 : 3;
  }
  const std::array<double, 3>& thresholds() const { return levels_.threshold; }
  const PlaneLevels<double>& levels() const { return levels_; }

  void Take(int pass, const PlaneSums& sums);

 private:
  struct Bin {
    double count, sum;
  };
  // Values between thresholds k - 1 and k of n.
  static Bin BinOf(const PlaneSums& sums, int k, int n);
  void Set() { SetScales<double>({scale_.data(), static_cast<size_t>(planes_)}, &levels_); }

  // Given the levels that the values go to, the scales with the least squared error.
  void LeastSquares(const PlaneSums& sums, double relaxation);
  void Move(const std::array<double, 3>& to, double relaxation);

  int planes_;
  std::array<double, 3> scale_{};
  PlaneLevels<double> levels_;
};

}  // namespace bitlm::trainer
