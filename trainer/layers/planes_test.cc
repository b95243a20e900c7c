#include "trainer/layers/planes.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <vector>

#include "trainer/tensor/random.h"

namespace bitlm::trainer {
namespace {

std::vector<float> Gaussian(uint64_t key, int64_t n, double deviation = 1) {
  std::vector<float> values(static_cast<size_t>(n));
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<float>(deviation * GaussianAt(key, i));
  return values;
}

// The mean squared error of planes fitted one after the other, each to what is left: the mean of
// the magnitudes, and the signs.
double GreedyError(std::vector<double> values, int planes) {
  double error = 0;
  for (int p = 0; p < planes; ++p) {
    double scale = 0;
    for (const double w : values) scale += std::abs(w) / static_cast<double>(values.size());
    for (double& w : values) w -= w > 0 ? scale : -scale;
  }
  for (const double w : values) error += w * w / static_cast<double>(values.size());
  return error;
}

class PlanesTest : public testing::TestWithParam<int> {
 protected:
  ThreadPool pool_{2};
};

// Columns of two matrices share scales. Every effective value is the sum of scales with the signs
// that Bits gives, no other such sum is nearer, and no column is worse than greedily fitted ones.
TEST_P(PlanesTest, ColumnsAreSumsOfPlanesAndNotWorseThanGreedy) {
  const int planes = GetParam();
  constexpr int64_t kCols = 77, kRows[] = {50, 131};
  std::vector<float> x = Gaussian(1, kRows[0] * kCols, 0.3), h = Gaussian(2, kRows[1] * kCols);
  for (float& w : h) w = w * w * w;  // Heavy tails.
  x[5] = h[9] = 0;
  std::vector<float> x_out(x.size()), h_out(h.size());
  std::vector<PlaneLevels<float>> levels(kCols);
  const PlaneMatrix<float> both[] = {{x.data(), kRows[0], x_out.data()},
                                     {h.data(), kRows[1], h_out.data()}};
  FitColumns<float>(planes, both, kCols, 1, &pool_, levels.data());
  for (int64_t c = 0; c < kCols; ++c) {
    std::vector<double> column;
    double error = 0;
    const PlaneLevels<float>& fit = levels[static_cast<size_t>(c)];
    for (const auto& matrix : both) {
      for (int64_t r = 0; r < matrix.rows; ++r) {
        const float w = matrix.values[r * kCols + c], got = matrix.effective[r * kCols + c];
        double nearest = 1e9;
        for (unsigned code = 0; code < 1u << planes; ++code) {
          float sum = 0;
          for (int p = 0; p < planes; ++p)
            sum += code >> p & 1 ? fit.scale[static_cast<size_t>(p)]
                                 : -fit.scale[static_cast<size_t>(p)];
          nearest = std::min<double>(nearest, std::abs(sum - w));
          if (code == fit.Bits(w)) {
            EXPECT_NEAR(sum, got, 1e-6 * fit.limit);
          }
        }
        EXPECT_EQ(got, fit.Value(w));
        EXPECT_NEAR(std::abs(got - w), nearest, 1e-5 * fit.limit);
        error += (got - w) * static_cast<double>(got - w);
        column.push_back(w);
      }
    }
    error /= static_cast<double>(column.size());
    EXPECT_LE(error, GreedyError(column, planes) * (1 + 1e-5)) << c;
  }
}

// Lloyd and Max's quantizers of a Gaussian have 0.3634, 0.1175 and 0.0345. Three planes, with three
// scales for four levels, have 0.0369: what hundreds of rounds give.
TEST_P(PlanesTest, TablesOfGaussianValuesComeCloseToTheBestQuantizer) {
  const int planes = GetParam();
  const std::vector<float> table = Gaussian(3, 700 * 1001);
  const PlaneLevels<float> fit = FitTable(planes, table.data(), 700, 1001);
  std::vector<float> out(table.size());
  TakeValues(fit, table.data(), static_cast<int64_t>(table.size()), &pool_, out.data());
  double error = 0;
  for (size_t i = 0; i < table.size(); ++i) {
    ASSERT_EQ(out[i], fit.Value(table[i])) << i;
    error += (out[i] - table[i]) * static_cast<double>(out[i] - table[i]);
  }
  const double best[] = {0.3634, 0.1175, 0.0369};
  error /= static_cast<double>(table.size());
  EXPECT_LT(error, best[planes - 1] * 1.03);
  EXPECT_GT(error, best[planes - 1] * 0.99);
}

TEST_P(PlanesTest, WhatPlanesCanBeIsRecovered) {
  const int planes = GetParam();
  const double scales[] = {1.1, 0.55, 0.3};
  std::vector<double> values(4000);
  for (size_t i = 0; i < values.size(); ++i) {
    for (int p = 0; p < planes; ++p) {
      const double sign = Mix64(17 * i + static_cast<uint64_t>(p)) % 100 < 45 ? 1 : -1;
      values[i] += sign * scales[p];
    }
  }
  const PlaneLevels<double> table = FitTable(planes, values.data(), 40, 100);
  std::vector<PlaneLevels<double>> columns(2);
  std::vector<double> out(values.size());
  const PlaneMatrix<double> matrix[] = {{values.data(), 2000, out.data()}};
  FitColumns<double>(planes, matrix, 2, 1, &pool_, columns.data());
  for (size_t i = 0; i < values.size(); ++i) {
    EXPECT_NEAR(table.Value(values[i]), values[i], 1e-9) << i;
    EXPECT_NEAR(out[i], values[i], 1e-9) << i;
  }
}

// Of soft planes: a part of the way, the same for columns and tables.
TEST_P(PlanesTest, SoftValuesAreInBetween) {
  const int planes = GetParam();
  const std::vector<float> values = Gaussian(6, 40 * 50);
  std::vector<float> hard(values.size()), soft(values.size());
  std::vector<PlaneLevels<float>> levels(50);
  for (const float hardness : {1.0f, 0.25f}) {
    const PlaneMatrix<float> matrix[] = {
        {values.data(), 40, hardness == 1 ? hard.data() : soft.data()}};
    FitColumns<float>(planes, matrix, 50, hardness, &pool_, levels.data());
  }
  for (size_t i = 0; i < values.size(); ++i) {
    ASSERT_NEAR(soft[i], 0.25f * hard[i] + 0.75f * values[i], 1e-6) << i;
    ASSERT_EQ(soft[i], levels[i % 50].Value(values[i])) << i;
  }
  PlaneLevels<float> table = FitTable(planes, values.data(), 40, 50);
  for (size_t i = 0; i < values.size(); ++i) hard[i] = table.Value(values[i]);
  table.hardness = 0.25f;
  TakeValues(table, values.data(), static_cast<int64_t>(values.size()), &pool_, soft.data());
  for (size_t i = 0; i < values.size(); ++i)
    ASSERT_NEAR(soft[i], 0.25f * hard[i] + 0.75f * values[i], 1e-6) << i;
}

TEST_P(PlanesTest, ThreadsChangeNothingAndZerosAreFine) {
  const int planes = GetParam();
  std::vector<float> values = Gaussian(4, 65 * 130);
  for (int64_t r = 0; r < 65; ++r) values[static_cast<size_t>(r * 130 + 40)] = 0;
  std::vector<float> out[2] = {std::vector<float>(values.size()),
                               std::vector<float>(values.size())};
  ThreadPool one(1);
  for (size_t i = 0; i < 2; ++i) {
    std::vector<PlaneLevels<float>> levels(130);
    const PlaneMatrix<float> matrix[] = {{values.data(), 65, out[i].data()}};
    FitColumns<float>(planes, matrix, 130, 1, i == 0 ? &one : &pool_, levels.data());
    EXPECT_EQ(levels[40].level[3], 0);
  }
  EXPECT_EQ(out[0], out[1]);
  for (int64_t r = 0; r < 65; ++r) EXPECT_EQ(out[0][static_cast<size_t>(r * 130 + 40)], 0);
}

// As those of a network of signs are, with which one of several planes may start.
TEST_P(PlanesTest, EqualMagnitudesAreKept) {
  std::vector<float> values(65 * 130);
  for (size_t i = 0; i < values.size(); ++i) values[i] = i % 3 == 0 ? -0.37f : 0.37f;
  std::vector<float> out(values.size());
  std::vector<PlaneLevels<float>> levels(130);
  const PlaneMatrix<float> matrix[] = {{values.data(), 65, out.data()}};
  FitColumns<float>(GetParam(), matrix, 130, 1, &pool_, levels.data());
  for (size_t i = 0; i < values.size(); ++i) ASSERT_NEAR(out[i], values[i], 1e-5) << i;
}

INSTANTIATE_TEST_SUITE_P(Planes, PlanesTest, testing::Values(1, 2, 3));

}  // namespace
}  // namespace bitlm::trainer
