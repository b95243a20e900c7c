#include "trainer/init/descent.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace bitlm::trainer {

void DescendSigns(std::span<const float> gram, std::span<float> signs, std::span<float> residual) {
  constexpr int kSweeps = 8;
  const size_t n = signs.size();
  for (int sweep = 0; sweep < kSweeps; ++sweep) {
    bool changed = false;
    for (size_t k = 0; k < n; ++k) {
      // A flip changes the target by 4 (s_k r_k + G_kk).
      if (signs[k] * residual[k] + gram[k * n + k] >= 0) continue;
      const float change = -2 * signs[k];
      signs[k] += change;
      const float* row = gram.data() + k * n;
      for (size_t l = 0; l < n; ++l) residual[l] -= change * row[l];
      changed = true;
    }
    if (!changed) return;
  }
}

void DescendCodes(const PlaneLevels<float>& levels, std::span<const float> gram,
                  std::span<float> codes, std::span<float> residual) {
  constexpr int kSweeps = 8;
  const size_t n = codes.size();
  for (int sweep = 0; sweep < kSweeps; ++sweep) {
    bool changed = false;
    for (size_t k = 0; k < n; ++k) {
      if (!(gram[k * n + k] > 0)) continue;
      // The nearest to the minimum along this value.
      const float best = codes[k] + residual[k] / gram[k * n + k];
      const float change = levels.Value(best) - codes[k];
      // Between two levels rounding could go back and forth.
      if (std::fabs(change) <= 1e-5f * levels.level[0] + 1e-30f) continue;
      codes[k] += change;
      const float* row = gram.data() + k * n;
      for (size_t l = 0; l < n; ++l) residual[l] -= change * row[l];
      changed = true;
    }
    if (!changed) return;
  }
}

void Minima(std::span<const float> gram, std::span<const float> codes,
            std::span<const float> residual, std::span<float> minima) {
  const size_t n = codes.size();
  for (size_t k = 0; k < n; ++k) {
    const float diagonal = gram[k * n + k];
    minima[k] = codes[k] + (diagonal > 0 ? residual[k] / diagonal : 0);
  }
}

void MakeLatent(const PlaneLevels<float>& levels, std::span<float> minima) {
  const size_t count = size_t{1} << (levels.planes - 1);
  std::array<double, 4> sum{}, number{};
  const auto level_of = [&](float w) {
    size_t k = 0;
    while (k + 1 < count && std::fabs(w) > levels.threshold[k]) ++k;
    return k;
  };
  for (const float w : minima) {
    const size_t k = level_of(w);
    sum[k] += std::fabs(w);
    number[k] += 1;
  }
  for (float& w : minima) {
    const size_t k = level_of(w);
    const float level = levels.level[k];
    const float low = k == 0 ? 0 : levels.threshold[k - 1];
    const float high = k + 1 < count ? levels.threshold[k] : 3 * level;
    const float moved = std::fabs(w) + level - static_cast<float>(sum[k] / number[k]);
    w = std::copysign(std::clamp(moved, low + 0.1f * (level - low), high - 0.1f * (high - level)),
                      w > 0 ? 1.0f : -1.0f);
  }
}

void SubtractProduct(std::span<const float> gram, std::span<const float> x,
                     std::span<float> residual) {
  for (size_t k = 0; k < x.size(); ++k) {
    const float* row = gram.data() + k * x.size();
    for (size_t l = 0; l < x.size(); ++l) residual[l] -= x[k] * row[l];
  }
}

void Margins(std::span<const float> gram, std::span<const float> signs,
             std::span<const float> residual, std::span<float> margins) {
  const size_t n = signs.size();
  for (size_t k = 0; k < n; ++k) {
    const float diagonal = gram[k * n + k];
    const float cost = std::max(signs[k] * residual[k] + diagonal, 1e-6f * diagonal + 1e-30f);
    margins[k] = std::copysign(cost, signs[k]);
  }
}

void DivideByMeanMagnitude(std::vector<float>* values) {
  double sum = 0;
  for (const float x : *values) sum += std::fabs(x);
  if (!(sum > 0)) return;
  const auto factor = static_cast<float>(static_cast<double>(values->size()) / sum);
  for (float& x : *values) x *= factor;
}

void DescendValues(std::span<const float> gram, int sweeps, std::span<float> values,
                   std::span<float> residual) {
  const size_t n = values.size();
  for (int sweep = 0; sweep < sweeps; ++sweep) {
    for (size_t k = 0; k < n; ++k) {
      const float* row = gram.data() + k * n;
      if (!(row[k] > 0)) continue;
      const float change = residual[k] / row[k];
      values[k] += change;
      for (size_t l = 0; l < n; ++l) residual[l] -= change * row[l];
    }
  }
}

}  // namespace bitlm::trainer
