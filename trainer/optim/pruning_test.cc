#include "trainer/optim/pruning.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "trainer/layers/network_testing.h"
#include "trainer/optim/optimizer.h"
#include "trainer/tensor/fast_backend.h"

namespace bitlm::trainer {
namespace {

using FastNetwork = Network<FastBackend>;

int64_t Zeros(const Parameter<float>& p) {
  return std::count(p.value.begin(), p.value.end(), 0.0f);
}

class PruningTest : public testing::Test {
 protected:
  ThreadPool pool_{1};
  FastBackend backend_{Precision::kFloat32, &pool_};
  FastNetwork network_{backend_, SmallConfig("lstm"), kShape};

  void SetUp() override { Randomize(network_, 0.4); }
  Pruning Make(const PruningRates& rates) { return *Pruning::Create(rates, &network_); }
};

TEST_F(PruningTest, TakesTheSmallestWeightsOfEachMatrix) {
  const Parameter<float>& table = network_.embedding().table();
  const std::vector<float> before(table.value.begin(), table.value.end());
  Make({.embedding = 0.75, .recurrent = 0.5}).Prune();
  EXPECT_EQ(Zeros(table), std::lround(0.75 * 66));
  EXPECT_EQ(Zeros(network_.output().table()), std::lround(0.75 * 66));
  EXPECT_EQ(Zeros(network_.lstm()[0]->weight_x().parameter), 72);
  EXPECT_EQ(Zeros(network_.lstm()[0]->weight_h().parameter), 72);
  float largest_gone = 0, least_kept = 1e9f;
  for (size_t i = 0; i < before.size(); ++i) {
    if (table.value[i] == 0) {
      largest_gone = std::max(largest_gone, std::fabs(before[i]));
    } else {
      EXPECT_EQ(table.value[i], before[i]);
      least_kept = std::min(least_kept, std::fabs(before[i]));
    }
  }
  EXPECT_LE(largest_gone, least_kept);
}

TEST_F(PruningTest, LeavesWhatHasNoRate) {
  Make({.embedding = 0.5}).Prune();
  EXPECT_EQ(Zeros(network_.lstm()[0]->weight_h().parameter), 0);
  EXPECT_EQ(Zeros(network_.embedding().table()), 33);
}

// With any optimizer, weight decay included; the others move.
TEST_F(PruningTest, PrunedWeightsStayZero) {
  for (const OptimizerKind kind : {OptimizerKind::kSgd, OptimizerKind::kAdam}) {
    Randomize(network_, 0.4);
    Pruning pruning = Make({.embedding = 0.75, .recurrent = 0.5});
    pruning.Prune();
    std::vector<int64_t> zeros;
    for (const auto* p : network_.Parameters()) zeros.push_back(Zeros(*p));
    const float bias = network_.lstm()[0]->bias().value[3];
    Optimizer optimizer({.kind = kind, .weight_decay = 0.1}, network_.Parameters(), &pool_);
    auto state = network_.ZeroState();
    const Batch batch = SmallBatch(11);
    for (int step = 0; step < 5; ++step) {
      network_.Pack();
      network_.LossAndGradient(batch, {}, 0, 0.3f, &state);
      pruning.MaskGradients(&pool_);
      ASSERT_TRUE(optimizer.Step(0.05).ok());
      network_.embedding().ClearGradient();
    }
    std::vector<int64_t> after;
    for (const auto* p : network_.Parameters()) after.push_back(Zeros(*p));
    EXPECT_EQ(after, zeros);
    EXPECT_NE(network_.lstm()[0]->bias().value[3], bias);
  }
}

TEST_F(PruningTest, RefusesBinaryMatrices) {
  ModelConfig planes = SmallConfig("bllm");
  planes.bit_planes = 2;
  FastNetwork binary(backend_, SmallConfig("bllm"), kShape), fitted(backend_, planes, kShape);
  for (const auto& [rates, fragment] : {std::pair(PruningRates{.embedding = 0.5}, "embedding"),
                                        std::pair(PruningRates{.recurrent = 0.5}, "recurrent")}) {
    for (FastNetwork* network : {&binary, &fitted}) {
      const auto pruning = Pruning::Create(rates, network);
      EXPECT_EQ(pruning.status().code(), absl::StatusCode::kFailedPrecondition);
      EXPECT_THAT(std::string(pruning.status().message()),
                  testing::StartsWith(std::string("pruning.") + fragment));
    }
  }
  EXPECT_TRUE(Pruning::Create({}, &binary).ok());
}

}  // namespace
}  // namespace bitlm::trainer
