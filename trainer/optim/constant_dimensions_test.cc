#include "trainer/optim/constant_dimensions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "trainer/layers/network_testing.h"
#include "trainer/optim/optimizer.h"

namespace bitlm::trainer {
namespace {

using FastNetwork = Network<FastBackend>;

// The dimensions that are the same for every word.
std::vector<int64_t> ConstantRows(const Parameter<float>& table) {
  std::vector<int64_t> rows;
  for (int64_t row = 0; row < table.rows; ++row) {
    const float* values = table.value.data() + row * table.cols;
    if (std::all_of(values, values + table.cols, [&](float v) { return v == values[0]; }))
      rows.push_back(row);
  }
  return rows;
}

class ConstantDimensionsTest : public testing::Test {
 protected:
  ThreadPool pool_{1};
  FastBackend backend_{Precision::kFloat32, &pool_};
  FastNetwork network_{backend_, SmallConfig("bllm"), kShape};

  void SetUp() override { Randomize(network_, 0.1); }
};

TEST_F(ConstantDimensionsTest, TakesTheDimensionsInWhichWordsAgreeMost) {
  Parameter<float>& table = network_.output().table();
  const auto set = [&](int64_t row, int64_t negatives) {
    float* values = table.value.data() + row * table.cols;
    for (int64_t word = 0; word < table.cols; ++word)
      values[word] = word < negatives ? -0.1f : 0.1f;
  };
  for (int64_t row = 0; row < table.rows; ++row) set(row, table.cols / 2);
  set(1, 1);
  set(3, table.cols - 1);
  ConstantDimensions::Create(2, &network_)->Fix();
  EXPECT_THAT(ConstantRows(table), testing::ElementsAre(1, 3));
  EXPECT_FLOAT_EQ(table.value[static_cast<size_t>(table.cols)], 0.1f);
  EXPECT_FLOAT_EQ(table.value[static_cast<size_t>(3 * table.cols)], -0.1f);
}

// Also when a run goes on from a checkpoint, whose values are all that is known of them.
TEST_F(ConstantDimensionsTest, StayConstantWhileTheOthersMove) {
  ConstantDimensions::Create(2, &network_)->Fix();
  const std::vector<int64_t> fixed = ConstantRows(network_.output().table());
  ASSERT_EQ(fixed.size(), 2u);
  ConstantDimensions resumed = *ConstantDimensions::Create(2, &network_);
  const auto before = std::vector<float>(network_.output().table().value.begin(),
                                         network_.output().table().value.end());
  Optimizer optimizer({.kind = OptimizerKind::kAdam}, network_.Parameters(), &pool_);
  auto state = network_.ZeroState();
  for (int step = 0; step < 5; ++step) {
    network_.Pack();
    network_.LossAndGradient(SmallBatch(11), {}, 0, 0.3f, &state);
    resumed.MaskGradients(&pool_);
    ASSERT_TRUE(optimizer.Step(0.05).ok());
    network_.embedding().ClearGradient();
  }
  const Parameter<float>& table = network_.output().table();
  EXPECT_EQ(ConstantRows(table), fixed);
  int64_t moved = 0;
  for (size_t i = 0; i < before.size(); ++i) moved += table.value[i] != before[i];
  EXPECT_GT(moved, 0);
  for (const int64_t row : fixed)
    EXPECT_EQ(table.value[static_cast<size_t>(row * table.cols)],
              before[static_cast<size_t>(row * table.cols)]);
}

TEST_F(ConstantDimensionsTest, RefusesWhatCannotUseThem) {
  const auto refusal = [&](const char* preset, int count) {
    FastNetwork network(backend_, SmallConfig(preset), kShape);
    const auto made = ConstantDimensions::Create(count, &network);
    EXPECT_EQ(made.status().code(), absl::StatusCode::kFailedPrecondition);
    return std::string(made.status().message());
  };
  EXPECT_THAT(refusal("lstm", 1), testing::HasSubstr("not binary"));
  EXPECT_THAT(refusal("bllm-no-o", 1), testing::HasSubstr("output_projection"));
  EXPECT_THAT(refusal("bllm", 1000), testing::HasSubstr("1000, the output table has"));
  FastNetwork floats(backend_, SmallConfig("lstm"), kShape);
  EXPECT_TRUE(ConstantDimensions::Create(0, &floats).ok());
}

}  // namespace
}  // namespace bitlm::trainer
