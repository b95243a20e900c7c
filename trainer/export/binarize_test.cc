#include "trainer/export/binarize.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "tests/support/random_model.h"
#include "tests/support/status_matchers.h"

namespace bitlm::trainer {
namespace {

using ::testing::HasSubstr;

Model FloatModel(MatrixKind input_projection) {
  ModelConfig config = TinyConfig("lstm", 60, 20, 20);
  config.input_projection = input_projection;
  return RandomModel(config, 3);
}

// The mean of dimension `d` of the embedding.
double Mean(const Model& model, size_t d) {
  const auto values = model.tensors.at("embedding.weight").f32();
  double sum = 0;
  for (size_t row = 0; row < 60; ++row) sum += static_cast<double>(values[row * 20 + d]);
  return sum / 60;
}

TEST(BinarizeTest, IsTheSignOfTheDifferenceToTheMeanOfADimension) {
  Model model = FloatModel(MatrixKind::kNone);
  // A dimension whose values are all above 0 has signs of both kinds nevertheless.
  for (size_t row = 0; row < 60; ++row)
    model.tensors.at("embedding.weight").mutable_f32()[row * 20 + 7] += 3;
  ASSERT_OK_AND_ASSIGN(const Model binary, BinarizeEmbedding(model));
  EXPECT_EQ(binary.config.embedding, MatrixKind::kBinary);
  EXPECT_EQ(binary.config.output_embedding, MatrixKind::kFloat);
  const auto values = model.tensors.at("embedding.weight").f32();
  const auto bits = binary.tensors.at("embedding.weight").u8();
  int plus = 0;
  double magnitudes = 0;
  for (size_t d = 0; d < 20; ++d) {
    const double mean = Mean(model, d);
    for (size_t row = 0; row < 60; ++row) {
      const double difference = static_cast<double>(values[row * 20 + d]) - mean;
      const bool bit = (bits[row * 3 + d / 8] >> (d % 8) & 1) != 0;
      EXPECT_EQ(bit, difference > 0);
      plus += d == 7 && bit;
      magnitudes += std::fabs(difference);
    }
  }
  EXPECT_GT(plus, 10);
  EXPECT_LT(plus, 50);
  EXPECT_NEAR(binary.tensors.at("embedding.scale").f32()[0], magnitudes / 1200, 1e-6);
  for (const TensorSpec& spec : RequiredTensors(binary.config)) {
    ASSERT_TRUE(binary.tensors.contains(spec.name)) << spec.name;
    EXPECT_THAT(CheckTensor(spec, binary.tensors.at(spec.name)), IsOk());
  }
}

TEST(BinarizeTest, RefusesWhatItCannotKeep) {
  for (const auto& [preset, fragment] : {std::pair("bllm", "embedding: \"binary\""),
                                         std::pair("bw-lstm", "recurrent: \"binary\"")}) {
    EXPECT_THAT(BinarizeEmbedding(RandomModel(TinyConfig(preset, 60, 20, 20), 3)),
                StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr(fragment)));
  }
  ModelConfig tied = TinyConfig("lstm", 60, 20, 20);
  tied.output_embedding = MatrixKind::kTied;
  EXPECT_THAT(BinarizeEmbedding(RandomModel(tied, 3)),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("tied")));
}

}  // namespace
}  // namespace bitlm::trainer
