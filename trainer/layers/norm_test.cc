// The pieces of the normalized and binarized LSTM layers, each by itself.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include "trainer/layers/batch_norm.h"
#include "trainer/layers/layer_norm.h"
#include "trainer/layers/matrix_scale.h"
#include "trainer/layers/sign_activation.h"
#include "trainer/tensor/random.h"

namespace bitlm::trainer {
namespace {

std::vector<double> Gaussians(uint64_t key, size_t n) {
  std::vector<double> values(n);
  for (size_t i = 0; i < n; ++i) values[i] = 0.7 * GaussianAt(key, i) + 0.2;
  return values;
}

double Dot(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

// d loss / d x by central differences; the error is below 1e-9 for these sizes.
void ExpectGradient(std::vector<double> x, const std::vector<double>& gradient,
                    const std::function<double(const std::vector<double>&)>& loss) {
  for (size_t i = 0; i < x.size(); ++i) {
    constexpr double kStep = 1e-5;
    const double value = x[i];
    x[i] = value + kStep;
    const double above = loss(x);
    x[i] = value - kStep;
    const double below = loss(x);
    x[i] = value;
    EXPECT_NEAR(gradient[i], (above - below) / (2 * kStep), 1e-8) << i;
  }
}

TEST(LayerNormTest, RowsHaveMeanZeroAndVarianceOneAndTheGradientOfTheirDifferences) {
  for (const size_t n : {2, 15, 16, 37}) {
    const std::vector<double> x = Gaussians(n, n), weights = Gaussians(100 + n, n);
    std::vector<double> normalized = x;
    const double inverse = NormalizeRow(normalized.data(), static_cast<int64_t>(n));
    double mean = 0, square = 0;
    for (const double v : normalized) {
      mean += v / static_cast<double>(n);
      square += v * v / static_cast<double>(n);
    }
    EXPECT_NEAR(mean, 0, 1e-12);
    EXPECT_NEAR(square, 1 - 1e-5 * inverse * inverse, 1e-10);
    std::vector<double> gradient = weights;
    NormalizeRowBackward(normalized.data(), inverse, static_cast<int64_t>(n), gradient.data());
    ExpectGradient(x, gradient, [&](std::vector<double> row) {
      NormalizeRow(row.data(), static_cast<int64_t>(n));
      return Dot(row, weights);
    });
    std::vector<float> fast(x.begin(), x.end());
    EXPECT_NEAR(NormalizeRow(fast.data(), static_cast<int64_t>(n)), inverse, 1e-5 * inverse);
    for (size_t i = 0; i < n; ++i) EXPECT_NEAR(fast[i], normalized[i], 1e-5);
  }
}

// More columns than a block has, in two pieces as two threads would take them.
TEST(BatchNormTest, ColumnsAreNormalizedByTheirGroupAndTheGradientIsThatOfDifferences) {
  constexpr int64_t kRows = 5, kCols = 70, kSplit = 64;
  BatchNorm<double> norm(2, kCols);
  const auto forward = [&](std::vector<double>* x) {
    for (int64_t group = 0; group < 2; ++group) {
      for (const auto& [first, cols] : {std::pair(int64_t{0}, kSplit), {kSplit, kCols - kSplit}}) {
        norm.Forward(group, kRows, first, cols, kCols, x->data() + group * kRows * kCols);
      }
    }
  };
  const std::vector<double> x = Gaussians(1, 2 * kRows * kCols);
  const std::vector<double> weights = Gaussians(2, x.size());
  std::vector<double> normalized = x, gradient = weights;
  forward(&normalized);
  for (int64_t group = 0; group < 2; ++group) {
    for (int64_t c = 0; c < kCols; ++c) {
      double mean = 0;
      for (int64_t r = 0; r < kRows; ++r) {
        mean += normalized[static_cast<size_t>((group * kRows + r) * kCols + c)];
      }
      ASSERT_NEAR(mean, 0, 1e-12);
    }
    for (const auto& [first, cols] : {std::pair(int64_t{0}, kSplit), {kSplit, kCols - kSplit}}) {
      norm.Backward(group, kRows, first, cols, kCols, normalized.data() + group * kRows * kCols,
                    gradient.data() + group * kRows * kCols);
    }
  }
  ExpectGradient(x, gradient, [&](std::vector<double> moved) {
    forward(&moved);
    return Dot(moved, weights);
  });
}

TEST(BatchNormTest, RunningStatisticsAreThoseOfAllRowsAndServeEvaluation) {
  constexpr int64_t kRows = 6, kCols = 3;
  BatchNorm<double> norm(2, kCols);
  std::vector<double> all;
  for (uint64_t pass = 0; pass < 3; ++pass) {
    for (int64_t group = 0; group < 2; ++group) {
      std::vector<double> x = Gaussians(10 * pass + static_cast<uint64_t>(group), kRows * kCols);
      for (double& v : x) v += static_cast<double>(group);
      all.insert(all.end(), x.begin(), x.end());
      norm.Forward(group, kRows, 0, kCols, kCols, x.data());
    }
    norm.EndPass();
  }
  norm.Pack();
  constexpr double kPassRows = 2 * kRows;
  std::vector<double> row{0.3, -0.2, 0.9}, expected(kCols);
  for (size_t c = 0; c < kCols; ++c) {
    double running_mean = 0, running_variance = 0;
    for (size_t pass = 0; pass < 3; ++pass) {
      double mean = 0, square = 0;
      for (size_t r = 0; r < 2 * kRows; ++r) {
        const double v = all[(pass * 2 * kRows + r) * kCols + c];
        mean += v / kPassRows;
        square += v * v / kPassRows;
      }
      running_mean += mean / 3;
      running_variance += (square - mean * mean) / 3;
    }
    EXPECT_NEAR(norm.mean(static_cast<int64_t>(c)), running_mean, 1e-12);
    expected[c] = (row[c] - running_mean) / std::sqrt(running_variance + kBatchNormEpsilon);
  }
  norm.Evaluate(1, row.data());
  for (size_t c = 0; c < kCols; ++c) EXPECT_NEAR(row[c], expected[c], 1e-12);
}

// After many passes a new one has a hundredth.
TEST(BatchNormTest, OldPassesFade) {
  BatchNorm<double> norm(1, 1);
  norm.SetRunning(std::vector<double>{2.0}, std::vector<double>{4.0}, 1000);
  std::vector<double> x{11, 13};
  norm.Forward(0, 2, 0, 1, 1, x.data());
  norm.EndPass();
  EXPECT_NEAR(norm.mean(0), 2 + 0.01 * 10, 1e-12);
  EXPECT_NEAR(norm.inverse(0), 1 / std::sqrt(4 - 0.01 * 3 + kBatchNormEpsilon), 1e-12);
}

TEST(SignActivationTest, ZeroIsMinusOneAndGradientsPassUpToOne) {
  SignActivation<double> sign(3, 2);
  std::vector<double> x{0.0, 1e-9, -1.0, 1.0, 1.01, -7.0};
  sign.Forward(0, 3, x.data());
  EXPECT_EQ(x, (std::vector<double>{-1, 1, -1, 1, 1, -1}));
  std::vector<double> gradient{1, 2, 3, 4, 5, 6};
  sign.Backward(0, 1, gradient.data());
  sign.Backward(1, 2, gradient.data() + 2);
  EXPECT_EQ(gradient, (std::vector<double>{1, 2, 3, 4, 0, 0}));
  sign.Linearize();
  std::vector<double> moved{0.25, 1e-9, -1.5, 1.0, 3.0, -7.5};
  sign.Forward(0, 3, moved.data());
  EXPECT_EQ(moved, (std::vector<double>{-0.75, 1, -1.5, 1, 1, -1}));
}

// dC/dW_i = alpha G_i + sign(W_i) / n sum G_k sign(W_k): with signs fixed, C = sum of G_k alpha
// sign(W_k) has the second part as its derivative.
TEST(MatrixScaleTest, GradientHasTheEstimatorsPartAndThatThroughAlpha) {
  ThreadPool pool(2);
  Parameter<double> w = MakeParameter<double>("w", 3, 4, 1.0);
  const std::vector<double> values = Gaussians(1, 12), g = Gaussians(2, 12);
  std::copy(values.begin(), values.end(), w.value.begin());
  std::copy(g.begin(), g.end(), w.gradient.begin());
  const auto mean = [&](const std::vector<double>& v) {
    double sum = 0;
    for (const double x : v) sum += std::fabs(x) / 12;
    return sum;
  };
  const double alpha = MeanMagnitude(w, &pool);
  EXPECT_NEAR(alpha, mean(values), 1e-15);
  BackThroughScale(alpha, &pool, &w);
  std::vector<double> through(12);
  for (size_t i = 0; i < 12; ++i) through[i] = w.gradient[i] - alpha * g[i];
  ExpectGradient(values, through, [&](const std::vector<double>& v) {
    double sum = 0;
    for (size_t i = 0; i < 12; ++i) sum += g[i] * mean(v) * (values[i] > 0 ? 1 : -1);
    return sum;
  });
}

}  // namespace
}  // namespace bitlm::trainer
