// The values of binary planes with given scales (planes.h). All of it is constexpr: kernels of a
// device call it, too.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

namespace bitlm::trainer {

inline constexpr int kMaxPlanes = 3;

// The planes of values that share their scales. What they can be is symmetric: a magnitude is one
// of 2^(planes - 1) levels, in ascending order, and the nearest one wherever scales are given.
template <typename Real>
struct PlaneLevels {
  static constexpr Real kNone = static_cast<Real>(INFINITY);

  int planes = 1;
  std::array<Real, kMaxPlanes> scale{};                // Of each plane; may be negative.
  std::array<Real, 4> level{};                         // Beyond the last: the last again.
  std::array<Real, 3> threshold{kNone, kNone, kNone};  // Between levels; none = infinity.
  std::array<uint8_t, 4> code{};                       // Of +level[k]: bit p is set where b_p = +1.
  Real limit = 0;  // Three times the mean magnitude: latent values stay inside.

  // Below 1: values are only so far on the way from w to the planes.
  Real hardness = 1;

  // The value of the planes that are nearest to w. 0 and less count as negative, as everywhere.
  constexpr Real Value(Real w) const {
    const Real magnitude = w < 0 ? -w : w;
    Real value = level[0];
    for (size_t k = 0; k < 3; ++k) value = magnitude > threshold[k] ? level[k + 1] : value;
    return hardness * (w > 0 ? value : -value) + (1 - hardness) * w;
  }
  // Their signs, bit p of plane p.
  constexpr unsigned Bits(Real w) const {
    const Real magnitude = w < 0 ? -w : w;
    size_t k = 0;
    while (k < 3 && magnitude > threshold[k]) ++k;
    const unsigned all = (1u << planes) - 1;
    return w > 0 ? code[k] : ~unsigned{code[k]} & all;
  }
};

// From scales; every magnitude goes to its nearest level. `limit` stays.
template <typename Real>
constexpr void SetScales(std::span<const double> scales, PlaneLevels<Real>* levels) {
  const size_t count = size_t{1} << (scales.size() - 1);
  struct Level {
    Real value = 0;
    unsigned code = 0;
  };
  std::array<Level, 4> all{};  // Ascending.
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

// The levels as they are used: rounded once, in the scales, as the exported model has them.
template <typename Real>
constexpr PlaneLevels<Real> Rounded(const PlaneLevels<double>& levels) {
  PlaneLevels<Real> rounded;
  rounded.planes = levels.planes;
  rounded.limit = static_cast<Real>(levels.limit);
  std::array<double, kMaxPlanes> scales{};
  for (size_t p = 0; p < scales.size(); ++p) scales[p] = static_cast<Real>(levels.scale[p]);
  SetScales<Real>({scales.data(), static_cast<size_t>(levels.planes)}, &rounded);
  return rounded;
}

}  // namespace bitlm::trainer
