#include "trainer/layers/plane_fit.h"

#include <algorithm>
#include <cstddef>

namespace bitlm::trainer {
namespace {

// Rounds of least squares, by planes, and how far all but the last go: beyond the minimum, because
// the levels that values go to change with the scales. Below 2 no round raises the error.
constexpr int kRounds[] = {0, 0, 4, 6};
constexpr double kRelaxation = 1.7;

}  // namespace

int PlaneFit::Passes(int planes) {
  return planes == 1 ? 1 : (planes == 2 ? 1 : 3) + kRounds[planes];
}

void PlaneFit::Take(int pass, const PlaneSums& sums) {
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

PlaneFit::Bin PlaneFit::BinOf(const PlaneSums& sums, int k, int n) {
  Bin bin =
      k == 0 ? Bin{sums.count, sums.sum} : Bin{sums.count_above[k - 1], sums.sum_above[k - 1]};
  if (k < n) {
    bin.count -= sums.count_above[k];
    bin.sum -= sums.sum_above[k];
  }
  return bin;
}

void PlaneFit::LeastSquares(const PlaneSums& sums, double relaxation) {
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
    double c[3];
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

void PlaneFit::Move(const std::array<double, 3>& to, double relaxation) {
  for (size_t p = 0; p < 3; ++p) scale_[p] += relaxation * (to[p] - scale_[p]);
  Set();
}

template <typename Real>
void SetScales(std::span<const double> scales, PlaneLevels<Real>* levels) {
  const size_t count = size_t{1} << (scales.size() - 1);
  struct Level {
    Real value;
    unsigned code;
  };
  std::array<Level, 4> all;  // Ascending.
  const unsigned mask = (1u << scales.size()) - 1;
  for (size_t k = 0; k < count; ++k) {
    // Plane 0 is +1; the others count.
    Level level{.value = 0, .code = static_cast<unsigned>(1 | k << 1)};
    for (size_t p = 0; p < scales.size(); ++p) {
      const auto scale = static_cast<Real>(scales[p]);
      level.value += level.code >> p & 1 ? scale : -scale;
    }
    if (level.value < 0) level = {.value = -level.value, .code = ~level.code & mask};
    size_t at = k;
    for (; at > 0 && level.value < all[at - 1].value; --at) all[at] = all[at - 1];
    all[at] = level;
  }
  for (size_t p = 0; p < scales.size(); ++p) levels->scale[p] = static_cast<Real>(scales[p]);
  for (size_t k = 0; k < 4; ++k) {
    const Level& level = all[std::min(k, count - 1)];
    levels->level[k] = level.value;
    levels->code[k] = static_cast<uint8_t>(level.code);
    if (k > 0) {
      levels->threshold[k - 1] =
          k < count ? (levels->level[k - 1] + level.value) / 2 : PlaneLevels<Real>::kNone;
    }
  }
}

template void SetScales(std::span<const double>, PlaneLevels<float>*);
template void SetScales(std::span<const double>, PlaneLevels<double>*);

}  // namespace bitlm::trainer
