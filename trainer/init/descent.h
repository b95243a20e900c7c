// Least squares one value at a time, in signs, in sums of planes, or in float values. G is
// symmetric, [n, n].
#pragma once

#include <span>
#include <vector>

#include "trainer/layers/planes.h"

namespace bitlm::trainer {

// Least squares in signs: minimizes s^T G s - 2 t^T s over s in {-1, +1}^n, one sign at a time.
// `signs` is the start and the result; `residual` = t - G s at the start, and afterwards. G is
// symmetric, [n, n].
void DescendSigns(std::span<const float> gram, std::span<float> signs, std::span<float> residual);

// The same in values of planes.
void DescendCodes(const PlaneLevels<float>& levels, std::span<const float> gram,
                  std::span<float> codes, std::span<float> residual);

// Where the minimum along each value is: codes + residual / diagonal.
void Minima(std::span<const float> gram, std::span<const float> codes,
            std::span<const float> residual, std::span<float> minima);

// Latent values from minima: what they are beyond their codes says how far a change of code is. The
// values of a level keep it as their mean, and stay nearest to it: so a fit brings them back.
void MakeLatent(const PlaneLevels<float>& levels, std::span<float> minima);

// residual -= G x.
void SubtractProduct(std::span<const float> gram, std::span<const float> x,
                     std::span<float> residual);

// The signs times a fourth of what a flip costs, s_k r_k + G_kk, but never 0, which has no sign.
void Margins(std::span<const float> gram, std::span<const float> signs,
             std::span<const float> residual, std::span<float> margins);

void DivideByMeanMagnitude(std::vector<float>* values);

// Least squares in float values: Gauss-Seidel steps on G x = t.
void DescendValues(std::span<const float> gram, int sweeps, std::span<float> values,
                   std::span<float> residual);

}  // namespace bitlm::trainer
