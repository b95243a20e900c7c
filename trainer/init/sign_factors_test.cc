#include "trainer/init/sign_factors.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "trainer/init/sign_rows.h"
#include "trainer/tensor/random.h"

namespace bitlm::trainer {
namespace {

constexpr size_t kRows = 300, kSize = 32, kColumns = 24;

std::vector<float> GaussianValues(uint64_t seed, size_t count) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = static_cast<float>(GaussianAt(seed, i));
  return values;
}

float Sign(float x) { return x > 0 ? 1.0f : -1.0f; }

// M as a plain matrix.
std::vector<double> PlainM(const SignFactors& factors, const FactorOptions& options) {
  std::vector<double> m(factors.m.size());
  for (size_t k = 0; k < kSize; ++k) {
    for (size_t j = 0; j < kColumns; ++j) {
      const size_t i = k * kColumns + j;
      m[i] = options.binary ? Sign(factors.m[i]) * factors.scale[options.scale_rows ? k : j]
                            : factors.m[i];
    }
  }
  return m;
}

double RowError(const std::vector<float>& table, const SignFactors& factors,
                const std::vector<double>& m, size_t v, size_t flipped) {
  double error = 0;
  for (size_t j = 0; j < kColumns; ++j) {
    double fit = 0;
    for (size_t k = 0; k < kSize; ++k) {
      const double sign = Sign(factors.margins[v * kSize + k]);
      fit += (k == flipped ? -sign : sign) * m[k * kColumns + j];
    }
    const double difference = table[v * kColumns + j] - fit;
    error += difference * difference;
  }
  return error;
}

class SignFactorsTest : public testing::TestWithParam<int> {
 protected:
  FactorOptions Options() const {
    return {.binary = GetParam() > 0, .scale_rows = GetParam() == 2, .seed = 3};
  }
};

// The error that is returned is that of the factors; no flip of one sign makes a row's fit better,
// and margins are what a flip costs, in one common unit.
TEST_P(SignFactorsTest, RowsAreFittedAndMarginsAreCosts) {
  ThreadPool pool(2);
  const std::vector<float> table = GaussianValues(1, kRows * kColumns);
  std::vector<float> weights(kRows);
  for (size_t v = 0; v < kRows; ++v) weights[v] = 0.5f + static_cast<float>(v % 7);
  const SignFactors factors = FactorIntoSigns(table, weights, kSize, Options(), &pool);
  ASSERT_EQ(factors.margins.size(), kRows * kSize);
  ASSERT_EQ(factors.m.size(), kSize * kColumns);
  const std::vector<double> m = PlainM(factors, Options());
  double wrong = 0, all = 0, unit = 0;
  for (size_t v = 0; v < kRows; ++v) {
    const double error = RowError(table, factors, m, v, kSize);
    wrong += weights[v] * error;
    for (size_t j = 0; j < kColumns; ++j) {
      all += weights[v] * table[v * kColumns + j] * table[v * kColumns + j];
    }
    if (v % 50 != 0) continue;
    for (size_t k = 0; k < kSize; ++k) {
      const double cost = RowError(table, factors, m, v, k) - error;
      EXPECT_GT(cost, -1e-3) << "row " << v << ", sign " << k;
      const double margin = std::fabs(factors.margins[v * kSize + k]);
      if (unit == 0) unit = cost / margin;
      EXPECT_NEAR(cost, unit * margin, 1e-2 * unit) << "row " << v << ", sign " << k;
    }
  }
  EXPECT_NEAR(factors.error, wrong / all, 1e-4);
  // Gaussian values at 4/3 bits each: rate distortion's bound is 2^(-8/3) = 0.157.
  EXPECT_LT(factors.error, Options().binary ? 0.45 : 0.3);
  EXPECT_GT(factors.error, 0.157);
}

TEST_P(SignFactorsTest, ThreadsChangeNothing) {
  const std::vector<float> table = GaussianValues(2, kRows * kColumns);
  const std::vector<float> weights(kRows, 1.0f);
  ThreadPool one(1), three(3);
  const SignFactors a = FactorIntoSigns(table, weights, kSize, Options(), &one);
  const SignFactors b = FactorIntoSigns(table, weights, kSize, Options(), &three);
  EXPECT_EQ(a.margins, b.margins);
  EXPECT_EQ(a.m, b.m);
  EXPECT_EQ(a.scale, b.scale);
}

// d C d^T.
double Square(const std::vector<double>& d, const std::vector<float>& c) {
  double sum = 0;
  for (size_t i = 0; i < d.size(); ++i) {
    for (size_t j = 0; j < d.size(); ++j) sum += d[i] * d[j] * c[i * d.size() + j];
  }
  return sum;
}

TEST(FitSignRowTest, WithoutCorrelationsItIsSignsAndMeanMagnitude) {
  const std::vector<float> values{0.5f, -1.0f, 0.1f, -0.2f};
  std::vector<float> identity(16);
  for (size_t i = 0; i < 4; ++i) identity[i * 5] = 1;
  const SignRow row = FitSignRow(values, identity);
  EXPECT_NEAR(row.scale, 0.45, 1e-6);
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(row.margins[i] > 0, values[i] > 0);
  // A flip costs 4 scale |w|.
  EXPECT_NEAR(row.margins[1] / row.margins[2], -10, 1e-4);
}

// Inputs that mostly vary in few directions: what matters is the products with those.
TEST(FitSignRowTest, CorrelatedInputsAreFittedByTheirProducts) {
  constexpr size_t n = 48;
  const std::vector<float> directions = GaussianValues(5, 6 * n);
  std::vector<float> c(n * n);
  for (size_t i = 0; i < n; ++i) {
    c[i * n + i] = 0.05f;
    for (size_t j = 0; j < n; ++j) {
      for (size_t k = 0; k < 6; ++k) c[i * n + j] += directions[k * n + i] * directions[k * n + j];
    }
  }
  const std::vector<float> values = GaussianValues(6, n);
  const SignRow row = FitSignRow(values, c);
  double mean = 0;
  for (const float w : values) mean += std::fabs(w) / n;
  const auto error = [&](size_t flipped, bool plain) {
    std::vector<double> d(n);
    for (size_t i = 0; i < n; ++i) {
      const double fit =
          plain ? mean * Sign(values[i]) : static_cast<double>(row.scale * Sign(row.margins[i]));
      d[i] = values[i] - (i == flipped ? -fit : fit);
    }
    return Square(d, c);
  };
  EXPECT_LT(error(n, false), 0.2 * error(n, true));
  for (size_t i = 0; i < n; ++i) EXPECT_GE(error(i, false), error(n, false) - 1e-3) << i;
}

INSTANTIATE_TEST_SUITE_P(Kinds, SignFactorsTest, testing::Values(0, 1, 2),
                         [](const testing::TestParamInfo<int>& kind) {
                           return std::string(kind.param == 0   ? "Float"
                                              : kind.param == 1 ? "BinaryByColumns"
                                                                : "BinaryByRows");
                         });

}  // namespace
}  // namespace bitlm::trainer
