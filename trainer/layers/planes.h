// Binary planes whose scales are fitted to latent values: w ~ sum over planes p of s_p b_p, b_p in
// {-1, +1} (Xu et al. 2018, "Alternating multi-bit quantization for recurrent neural networks",
// arXiv:1802.00150, section 3). With one plane s = mean |w| (Rastegari et al. 2016, section 3.1).
#pragma once

#include <cstdint>
#include <span>

#include "engine/base/thread_pool.h"
#include "trainer/layers/plane_levels.h"

namespace bitlm::trainer {

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
