#include "trainer/optim/optimizer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <utility>
#include <vector>

#include "trainer/tensor/random.h"

namespace bitlm::trainer {
namespace {

// A float matrix, a float vector and a binary matrix, filled with known values.
struct Parameters {
  Parameter<float> matrix = MakeParameter<float>("matrix", 2, 2);
  Parameter<float> vector = MakeParameter<float>("vector", 1, 2);
  Parameter<float> binary = MakeParameter<float>("binary", 2, 2, 0.5f);

  Parameters() {
    for (Parameter<float>* p : all()) {
      for (size_t i = 0; i < p->value.size(); ++i) {
        p->value[i] = 0.1f * static_cast<float>(i + 1);
        p->gradient[i] = i % 2 == 0 ? 0.02f : -0.04f;
      }
    }
  }
  std::vector<Parameter<float>*> all() { return {&matrix, &vector, &binary}; }
};

constexpr OptimizerOptions kPlainSgd{.kind = OptimizerKind::kSgd, .clip_norm = 0};

TEST(OptimizerTest, SgdSubtractsTheScaledGradient) {
  ThreadPool pool(1);
  Parameters p;
  ASSERT_TRUE(Optimizer(kPlainSgd, p.all(), &pool).Step(0.5).ok());
  EXPECT_FLOAT_EQ(p.matrix.value[0], 0.1f - 0.5f * 0.02f);
  EXPECT_FLOAT_EQ(p.matrix.value[1], 0.2f + 0.5f * 0.04f);
  EXPECT_FLOAT_EQ(p.vector.value[1], 0.2f + 0.5f * 0.04f);
}

// [LCY18] Algorithm 2, line 6.
TEST(OptimizerTest, LatentBinaryWeightsStayInsideAlpha) {
  for (const OptimizerKind kind : {OptimizerKind::kSgd, OptimizerKind::kAdam}) {
    ThreadPool pool(1);
    Parameters p;
    for (float& g : p.binary.gradient.span()) g = 1;
    p.binary.gradient[3] = -1;
    Optimizer optimizer({.kind = kind, .clip_norm = 0}, p.all(), &pool);
    ASSERT_TRUE(optimizer.Step(10).ok());
    EXPECT_EQ(p.binary.value[0], -0.5f);
    EXPECT_EQ(p.binary.value[3], 0.5f);
    EXPECT_LT(p.matrix.value[0], 0.0f);  // Float parameters have no bounds.
  }
}

// Of fitted scales: to the limits of the last fit, by columns or of the whole table.
TEST(OptimizerTest, LatentValuesWithFittedScalesStayInsideTheirLimits) {
  ThreadPool pool(1);
  for (const bool table : {false, true}) {
    Parameter<float> matrix = MakeParameter<float>("matrix", 2, 3);
    const float values[] = {0.1f, -0.2f, 0.3f, 0.3f, 0.4f, -0.5f};
    std::copy_n(values, 6, matrix.value.data());
    SetFitted(2, table ? 1 : 3, &matrix);
    if (table) {
      FitTable(&matrix);
    } else {
      FitColumns({&matrix}, &pool);
    }
    for (float& g : matrix.gradient.span()) g = 1;
    matrix.gradient[1] = -1;
    Optimizer optimizer({.clip_norm = 0, .weight_decay = 0.1}, {&matrix}, &pool);
    ASSERT_TRUE(optimizer.Step(10).ok());
    // Three times the mean magnitudes: 0.2, 0.3, 0.4, or 0.3.
    EXPECT_NEAR(matrix.value[0], table ? -0.9 : -0.6, 1e-6);
    EXPECT_NEAR(matrix.value[1], 0.9, 1e-6);
    EXPECT_NEAR(matrix.value[2], table ? -0.9 : -1.2, 1e-6);
    EXPECT_EQ(matrix.value[3], matrix.value[0]);
    // A small step moves them, and they do not decay.
    const float before = matrix.value[1];
    ASSERT_TRUE(optimizer.Step(-0.01).ok());
    EXPECT_NEAR(matrix.value[1], std::min(before - 0.01f, before), 1e-6);
  }
}

TEST(OptimizerTest, ClipsByTheJointNorm) {
  ThreadPool pool(1);
  Parameters free, clipped;
  // Five pairs of 0.02 and -0.04.
  const double norm = std::sqrt(5 * (0.02 * 0.02 + 0.04 * 0.04));
  ASSERT_TRUE(Optimizer(kPlainSgd, free.all(), &pool).Step(1).ok());
  OptimizerOptions options = kPlainSgd;
  options.clip_norm = norm / 4;
  ASSERT_TRUE(Optimizer(options, clipped.all(), &pool).Step(1).ok());
  for (size_t i = 0; i < 4; ++i) {
    const float start = 0.1f * static_cast<float>(i + 1);
    EXPECT_NEAR(clipped.matrix.value[i] - start, (free.matrix.value[i] - start) / 4, 1e-7);
  }
  Parameters below;
  options.clip_norm = norm * 1.01;
  ASSERT_TRUE(Optimizer(options, below.all(), &pool).Step(1).ok());
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(below.matrix.value[i], free.matrix.value[i]);
}

// Hou et al. 2019: the norm is that of the float parameters, and only they are scaled.
TEST(OptimizerTest, MayClipWithoutLatentWeights) {
  ThreadPool pool(1);
  Parameters free, clipped;
  ASSERT_TRUE(Optimizer(kPlainSgd, free.all(), &pool).Step(1).ok());
  OptimizerOptions options = kPlainSgd;
  options.clip_latent = false;
  // Three pairs of 0.02 and -0.04.
  options.clip_norm = std::sqrt(3 * (0.02 * 0.02 + 0.04 * 0.04)) / 4;
  ASSERT_TRUE(Optimizer(options, clipped.all(), &pool).Step(1).ok());
  for (size_t i = 0; i < 4; ++i) {
    const float start = 0.1f * static_cast<float>(i + 1);
    EXPECT_NEAR(clipped.matrix.value[i] - start, (free.matrix.value[i] - start) / 4, 1e-7);
    EXPECT_EQ(clipped.binary.value[i], free.binary.value[i]);
  }
  // Fitted scales are latent weights, too.
  Parameters fitted;
  SetFitted(1, 1, &fitted.matrix);
  fitted.matrix.levels[0].limit = 10;
  ASSERT_TRUE(Optimizer(options, fitted.all(), &pool).Step(1).ok());
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(fitted.matrix.value[i], free.matrix.value[i]);
  // What is not clipped has to be finite all the same.
  clipped.binary.gradient[0] = std::nanf("");
  EXPECT_FALSE(Optimizer(options, clipped.all(), &pool).Step(1).ok());
}

// Kingma and Ba 2015, Algorithm 1, two steps by hand; with beta1 = 0 the first moment is the
// gradient.
class AdamTest : public testing::TestWithParam<std::pair<double, double>> {};

TEST_P(AdamTest, CorrectsItsMomentsBias) {
  ThreadPool pool(1);
  Parameters p;
  const auto [beta1, beta2] = GetParam();
  const OptimizerOptions options{
      .kind = OptimizerKind::kAdam, .clip_norm = 0, .beta1 = beta1, .beta2 = beta2};
  Optimizer optimizer(options, p.all(), &pool);
  double m = 0, v = 0, w = 0.2;
  const double gradients[] = {-0.04, 0.01};
  for (int step = 1; step <= 2; ++step) {
    const double g = gradients[step - 1];
    p.matrix.gradient[1] = static_cast<float>(g);
    ASSERT_TRUE(optimizer.Step(0.1).ok());
    m = options.beta1 * m + (1 - options.beta1) * g;
    v = options.beta2 * v + (1 - options.beta2) * g * g;
    const double m_hat = m / (1 - std::pow(options.beta1, step));
    const double v_hat = v / (1 - std::pow(options.beta2, step));
    w -= 0.1 * m_hat / (std::sqrt(v_hat) + options.epsilon);
    EXPECT_NEAR(p.matrix.value[1], w, 1e-6);
  }
  EXPECT_EQ(optimizer.steps(), 2);
}

INSTANTIATE_TEST_SUITE_P(Betas, AdamTest,
                         testing::Values(std::pair(0.9, 0.999), std::pair(0.0, 0.999),
                                         std::pair(0.9, 0.5)));

TEST(OptimizerTest, DecayIsForFloatMatricesOnly) {
  for (const OptimizerKind kind : {OptimizerKind::kSgd, OptimizerKind::kAdam}) {
    ThreadPool pool(1);
    Parameters p;
    for (Parameter<float>* parameter : p.all()) {
      for (float& g : parameter->gradient.span()) g = 0;
    }
    Optimizer optimizer({.kind = kind, .clip_norm = 0, .weight_decay = 0.2}, p.all(), &pool);
    ASSERT_TRUE(optimizer.Step(0.5).ok());
    EXPECT_FLOAT_EQ(p.matrix.value[2], 0.3f * (1 - 0.5f * 0.2f));
    EXPECT_FLOAT_EQ(p.vector.value[1], 0.2f);
    EXPECT_FLOAT_EQ(p.binary.value[2], 0.3f);
  }
}

// Steps as if l2 * w were part of a float matrix's gradient; Adam divides it by the root of the
// second moment, so that rows with small gradients shrink most.
TEST(OptimizerTest, L2IsPartOfTheGradientOfFloatMatrices) {
  ThreadPool pool(1);
  for (const OptimizerKind kind : {OptimizerKind::kSgd, OptimizerKind::kAdam}) {
    Parameters with, without;
    Optimizer penalized({.kind = kind, .clip_norm = 0, .l2 = 0.5}, with.all(), &pool);
    Optimizer plain({.kind = kind, .clip_norm = 0}, without.all(), &pool);
    for (int step = 0; step < 3; ++step) {
      for (size_t i = 0; i < 4; ++i)
        without.matrix.gradient[i] = with.matrix.gradient[i] + 0.5f * with.matrix.value[i];
      ASSERT_TRUE(penalized.Step(0.1).ok());
      ASSERT_TRUE(plain.Step(0.1).ok());
    }
    for (size_t i = 0; i < 4; ++i) {
      EXPECT_NEAR(with.matrix.value[i], without.matrix.value[i], 1e-6);
      EXPECT_EQ(with.binary.value[i], without.binary.value[i]);
    }
    EXPECT_EQ(with.vector.value[1], without.vector.value[1]);
  }
}

TEST(OptimizerTest, LatentWeightsHaveTheirOwnRate) {
  ThreadPool pool(1);
  Parameters p;
  OptimizerOptions options = kPlainSgd;
  options.latent_lr_scale = 3;
  ASSERT_TRUE(Optimizer(options, p.all(), &pool).Step(0.5).ok());
  EXPECT_FLOAT_EQ(p.matrix.value[0], 0.1f - 0.5f * 0.02f);
  EXPECT_FLOAT_EQ(p.binary.value[0], 0.1f - 3 * 0.5f * 0.02f);
}

TEST(OptimizerTest, OnlyTouchedRowsOfASparseParameterChange) {
  for (const OptimizerKind kind : {OptimizerKind::kSgd, OptimizerKind::kAdam}) {
    ThreadPool pool(2);
    Parameters p;
    p.matrix.sparse = true;
    p.matrix.touched_rows = {1};
    p.matrix.gradient[0] = 1e6f;  // Of the other row: neither used nor in the norm.
    Optimizer optimizer({.kind = kind, .clip_norm = 1}, p.all(), &pool);
    ASSERT_TRUE(optimizer.Step(0.1).ok());
    EXPECT_EQ(p.matrix.value[0], 0.1f);
    EXPECT_EQ(p.matrix.value[1], 0.2f);
    EXPECT_LT(p.matrix.value[2], 0.3f);
    EXPECT_GT(p.matrix.value[3], 0.4f);
    if (kind == OptimizerKind::kAdam) {
      EXPECT_EQ(optimizer.first_moments()[0][0], 0.0f);
      EXPECT_NE(optimizer.first_moments()[0][2], 0.0f);
    }
  }
}

TEST(OptimizerTest, NothingChangesWhenAGradientIsNotFinite) {
  ThreadPool pool(1);
  for (const float bad : {NAN, INFINITY}) {
    Parameters p;
    p.binary.gradient[2] = bad;
    Optimizer optimizer({.kind = OptimizerKind::kAdam}, p.all(), &pool);
    EXPECT_EQ(optimizer.Step(0.1).code(), absl::StatusCode::kInternal);
    EXPECT_EQ(optimizer.steps(), 0);
    EXPECT_EQ(p.matrix.value[0], 0.1f);
    EXPECT_EQ(optimizer.first_moments()[0][0], 0.0f);
  }
}

// Pieces of the norm and of the update are the same for every number of threads.
TEST(OptimizerTest, ThreadsChangeNoBit) {
  const auto run = [](int threads) {
    ThreadPool pool(threads);
    Parameter<float> p = MakeParameter<float>("large", 300, 500);
    for (size_t i = 0; i < p.value.size(); ++i) {
      p.value[i] = static_cast<float>(GaussianAt(1, i));
      p.gradient[i] = static_cast<float>(GaussianAt(2, i));
    }
    Optimizer optimizer({.kind = OptimizerKind::kAdam, .clip_norm = 1}, {&p}, &pool);
    for (int step = 0; step < 3; ++step) EXPECT_TRUE(optimizer.Step(0.01).ok());
    return std::vector<float>(p.value.begin(), p.value.end());
  };
  EXPECT_EQ(run(1), run(2));
}

}  // namespace
}  // namespace bitlm::trainer
