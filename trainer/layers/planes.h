// Binary planes whose scales are fitted to latent values: w ~ sum over planes p of s_p b_p, b_p in
// {-1, +1} (Xu et al. 2018, "Alternating multi-bit quantization for recurrent neural networks",
// arXiv:1802.00150, section 3). With one plane s = mean |w| (Rastegari et al. 2016, section 3.1).
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <span>

#include "engine/base/thread_pool.h"

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
  Real Value(Real w) const {
    const Real magnitude = std::abs(w);
    Real value = level[0];
    for (size_t k = 0; k < 3; ++k) value = magnitude > threshold[k] ? level[k + 1] : value;
    return hardness * (w > 0 ? value : -value) + (1 - hardness) * w;
  }
  // Their signs, bit p of plane p.
  unsigned Bits(Real w) const {
    const Real magnitude = std::abs(w);
    size_t k = 0;
    while (k < 3 && magnitude > threshold[k]) ++k;
    const unsigned all = (1u << planes) - 1;
    return w > 0 ? code[k] : ~unsigned{code[k]} & all;
  }
};

// From scales; every magnitude goes to its nearest level. `limit` stays.
template <typename Real>
void SetScales(std::span<const double> scales, PlaneLevels<Real>* levels);

// A matrix [rows, cols] of latent values, and where its effective ones go.
template <typename Real>
struct PlaneMatrix {
  const Real* values = nullptr;
  int64_t rows = 0;
  Real* effective = nullptr;
};

// Fits each column of matrices of `cols` columns over each other, which share its scales, and
// writes the effective values, with this hardness. levels [cols].
//
// Greedy plane by plane, then rounds of least squares for the scales and the nearest level for each
// value; both steps only lower the squared error. A function of the values alone.
// Cost: 1, 5 or 9 passes over values in cache.
template <typename Real>
void FitColumns(int planes, std::span<const PlaneMatrix<Real>> matrices, int64_t cols,
                Real hardness, ThreadPool* pool, PlaneLevels<Real>* levels);

// The same with one set of scales for all values, fitted to every n-th row of a large matrix.
template <typename Real>
PlaneLevels<Real> FitTable(int planes, const Real* values, int64_t rows, int64_t cols);

// to[i] = levels.Value(from[i]). Parallel.
template <typename Real>
void TakeValues(const PlaneLevels<Real>& levels, const Real* from, int64_t n, ThreadPool* pool,
                Real* to);

}  // namespace bitlm::trainer
