#include "trainer/init/sign_rows.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "trainer/init/descent.h"
#include "trainer/layers/planes.h"

namespace bitlm::trainer {
namespace {

float Sign(float x) { return x > 0 ? 1.0f : -1.0f; }

// Gauss's elimination with pivots of the first n rows; false when they are nearly singular.
bool Solve(int n, std::array<std::array<double, 4>, 3> a, std::array<double, 3>* x) {
  const auto size = static_cast<size_t>(n);
  const double unit = std::max({a[0][0], size > 1 ? a[1][1] : 0, size > 2 ? a[2][2] : 0});
  for (size_t i = 0; i < size; ++i) {
    size_t pivot = i;
    for (size_t r = i + 1; r < size; ++r) {
      if (std::fabs(a[r][i]) > std::fabs(a[pivot][i])) pivot = r;
    }
    std::swap(a[i], a[pivot]);
    if (!(std::fabs(a[i][i]) > 1e-9 * unit)) return false;
    for (size_t r = 0; r < size; ++r) {
      if (r == i) continue;
      const double factor = a[r][i] / a[i][i];
      for (size_t c = i; c < 4; ++c) a[r][c] -= factor * a[i][c];
    }
  }
  for (size_t i = 0; i < size; ++i) (*x)[i] = a[i][3] / a[i][i];
  return true;
}

}  // namespace

SignRow FitSignRow(std::span<const float> values, std::span<const float> moments) {
  const size_t n = values.size();
  std::vector<float> signs(n), target(n), product(n), residual(n);
  SubtractProduct(moments, values, target);
  double sum = 0;
  for (size_t i = 0; i < n; ++i) {
    target[i] = -target[i];  // C w
    signs[i] = Sign(values[i]);
    sum += std::fabs(values[i]);
  }
  SignRow row{.margins = std::vector<float>(n),
              .scale = static_cast<float>(std::max(1e-12, sum / static_cast<double>(n)))};
  SubtractProduct(moments, signs, product);  // -C s
  // Given the signs, the scale: (s C w) / (s C s).
  const auto fit_scale = [&] {
    double numerator = 0, denominator = 0;
    for (size_t i = 0; i < n; ++i) {
      numerator += signs[i] * target[i];
      denominator -= signs[i] * product[i];
    }
    if (numerator > 0 && denominator > 0) row.scale = static_cast<float>(numerator / denominator);
  };
  for (int round = 0; round < 4; ++round) {
    fit_scale();
    // Given the scale, the signs: those that are best for C w / scale.
    for (size_t i = 0; i < n; ++i) residual[i] = product[i] + target[i] / row.scale;
    DescendSigns(moments, signs, residual);
    for (size_t i = 0; i < n; ++i) product[i] = residual[i] - target[i] / row.scale;
  }
  fit_scale();
  Margins(moments, signs, residual, row.margins);
  DivideByMeanMagnitude(&row.margins);
  return row;
}

std::vector<float> FitPlanesRow(std::span<const float> values, std::span<const float> moments,
                                int planes) {
  const size_t n = values.size();
  PlaneLevels<float> levels = FitTable(planes, values.data(), 1, static_cast<int64_t>(n));
  if (!(levels.level[0] > 0)) return {values.begin(), values.end()};
  std::vector<float> codes(n), residual(n), target(n);
  for (size_t i = 0; i < n; ++i) codes[i] = levels.Value(values[i]);
  SubtractProduct(moments, values, target);
  for (float& x : target) x = -x;  // C w
  std::vector<std::vector<float>> signs(static_cast<size_t>(planes), std::vector<float>(n));
  for (int round = 0; round < 3; ++round) {
    // Given the codes, the scales: (B C B^T) s = B C w.
    std::array<std::array<double, 4>, 3> system{};
    for (size_t p = 0; p < signs.size(); ++p) {
      for (size_t i = 0; i < n; ++i) signs[p][i] = levels.Bits(codes[i]) >> p & 1 ? 1.0f : -1.0f;
    }
    for (size_t p = 0; p < signs.size(); ++p) {
      std::vector<float> product(n);
      SubtractProduct(moments, signs[p], product);
      for (size_t q = 0; q < signs.size(); ++q) {
        for (size_t i = 0; i < n; ++i) system[p][q] -= product[i] * signs[q][i];
      }
      for (size_t i = 0; i < n; ++i) system[p][3] += signs[p][i] * target[i];
    }
    std::array<double, 3> scales;
    if (!Solve(planes, system, &scales)) break;
    PlaneLevels<float> next = levels;
    SetScales<float>({scales.data(), static_cast<size_t>(planes)}, &next);
    if (!(next.level[0] > 0)) break;
    for (size_t i = 0; i < n; ++i) {
      float sum = 0;
      for (size_t p = 0; p < signs.size(); ++p) sum += next.scale[p] * signs[p][i];
      codes[i] = sum;
    }
    levels = next;
    // Given the scales, the codes.
    residual = target;
    SubtractProduct(moments, codes, residual);
    DescendCodes(levels, moments, codes, residual);
  }
  residual = target;
  SubtractProduct(moments, codes, residual);
  std::vector<float> latent(n);
  Minima(moments, codes, residual, latent);
  // Rounding apart, minima are nearest to their codes.
  for (size_t i = 0; i < n; ++i) {
    if (levels.Value(latent[i]) != levels.Value(codes[i])) latent[i] = codes[i];
  }
  MakeLatent(levels, latent);
  return latent;
}

}  // namespace bitlm::trainer
