// Spearman's rank correlation, with ties.
#pragma once

#include <optional>
#include <span>
#include <vector>

namespace bitlm::trainer {

// The rank of each value, from 1; equal values have the mean of the ranks that they take together.
// Values must not be NaN. Cost: O(n log n).
std::vector<double> AverageRanks(std::span<const double> values);

// Pearson's correlation of the average ranks of x and y, which have equal sizes: in [-1, 1].
// Nothing when it is not defined: fewer than two values, or all values of x or of y are equal.
// Source: Kendall, "Rank Correlation Methods"; with ties the shortcut by squared differences of
// ranks is wrong, and this form is not.
std::optional<double> SpearmanCorrelation(std::span<const double> x, std::span<const double> y);

}  // namespace bitlm::trainer
