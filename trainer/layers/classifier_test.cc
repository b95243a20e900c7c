// Networks with a classifier head.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "trainer/layers/finite_differences_testing.h"
#include "trainer/layers/network_testing.h"

namespace bitlm::trainer {
namespace {

ModelConfig ClassifierConfig(const std::string& preset) {
  ModelConfig config = SmallConfig(preset);
  config.head = HeadKind::kClassifier;
  config.classes = 4;
  config.output_bias = true;
  return config;
}

// Classes as targets, at some steps only: at the ends of sentences.
Batch ClassifierBatch() {
  Batch batch = SmallBatch(11);
  batch.scored = 0;
  for (size_t i = 0; i < batch.targets.size(); ++i) {
    const bool end = i % 4 == 1 || i >= 12;
    batch.targets[i] = end ? static_cast<int32_t>(i % 4) : -1;
    batch.scored += end;
  }
  return batch;
}

class ClassifierTest : public testing::TestWithParam<const char*> {
 protected:
  ThreadPool pool_{1};
  DoubleBackend backend_{&pool_};
  DoubleNetwork network_{backend_, ClassifierConfig(GetParam()), kShape};
  const Batch batch_ = ClassifierBatch();

  void SetUp() override { Randomize(network_, 0.4); }
  double Loss() {
    const DropoutRates dropout{.input = 0.2, .output = 0.3};
    network_.Pack(dropout, kDropoutKey);
    auto state = SomeState(network_);
    return kGradientScale *
           network_.LossAndGradient(batch_, dropout, kDropoutKey, kGradientScale, &state);
  }
};

TEST_P(ClassifierTest, HasARowOfTheOutputTableForEachClass) {
  EXPECT_EQ(network_.output().table().cols, 4);
  EXPECT_EQ(network_.output().bias()->cols, 4);
  EXPECT_EQ(network_.embedding().table().rows, 11);
}

// Of sign activations linearized about the pass, as the straight-through estimator takes them.
TEST_P(ClassifierTest, GradientsAreFiniteDifferences) {
  const double loss = Loss();
  LinearizeSigns(network_);
  EXPECT_EQ(Loss(), loss);
  EXPECT_GT(ExpectFiniteDifferences(network_, [&] { return Loss(); }), 30);
}

// Of all targets that a step may have, the answer is the one with the least loss.
TEST_P(ClassifierTest, AnswersWithTheMostProbableClass) {
  // Small, lest it decides alone.
  for (double& b : network_.output().bias()->value) b *= 0.02;
  network_.Pack();
  std::vector<int32_t> classes;
  auto state = SomeState(network_);
  const double loss = network_.LossAndClasses(batch_, &state, &classes);
  auto again = SomeState(network_);
  EXPECT_EQ(loss, network_.Loss(batch_, &again));
  ASSERT_EQ(classes.size(), batch_.targets.size());
  std::vector<int> answered(4);
  for (size_t r = 0; r < classes.size(); ++r) {
    if (batch_.targets[r] < 0) continue;
    Batch one = batch_;
    std::vector<double> losses;
    for (int32_t c = 0; c < 4; ++c) {
      one.targets.assign(one.targets.size(), -1);
      one.targets[r] = c;
      auto from = SomeState(network_);
      losses.push_back(network_.Loss(one, &from));
    }
    const auto best = std::min_element(losses.begin(), losses.end()) - losses.begin();
    EXPECT_EQ(classes[r], best) << r;
    ++answered[static_cast<size_t>(classes[r])];
  }
  // The test would see a constant answer.
  EXPECT_GT(std::count_if(answered.begin(), answered.end(), [](int n) { return n > 0; }), 1);
}

INSTANTIATE_TEST_SUITE_P(Presets, ClassifierTest,
                         testing::Values("lstm", "belm", "bllm", "bw-lstm", "xnor-lstm"),
                         [](const auto& test) {
                           std::string name = test.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace bitlm::trainer
