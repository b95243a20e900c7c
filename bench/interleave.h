// Sides of a comparison measured in turn, A B C A B C …, because the clock of a shared machine
// drifts by more than most differences.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <functional>
#include <vector>

namespace bitlm::bench {

inline double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t n = values.size();
  return n % 2 == 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

// Seconds a call of each side, [sides][rounds]. A side is called for at least `min_seconds` in each
// round, after one call that does not count.
inline std::vector<std::vector<double>> Interleave(const std::vector<std::function<void()>>& sides,
                                                   int rounds, double min_seconds) {
  using Clock = std::chrono::steady_clock;
  std::vector<std::vector<double>> seconds(sides.size());
  for (int round = 0; round < rounds; ++round) {
    for (size_t i = 0; i < sides.size(); ++i) {
      sides[i]();
      size_t calls = 0;
      double elapsed = 0;
      for (const auto start = Clock::now(); elapsed < min_seconds;
           elapsed = std::chrono::duration<double>(Clock::now() - start).count()) {
        sides[i]();
        ++calls;
      }
      seconds[i].push_back(elapsed / static_cast<double>(calls));
    }
  }
  return seconds;
}

// The median over rounds of a's time over b's.
inline double MedianRatio(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> ratios;
  for (size_t i = 0; i < a.size(); ++i) ratios.push_back(a[i] / b[i]);
  return Median(ratios);
}

}  // namespace bitlm::bench
