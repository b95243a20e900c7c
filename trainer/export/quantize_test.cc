#include "trainer/export/quantize.h"

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

Model FloatModel() {
  ModelConfig config = TinyConfig("belm", 60, 9, 20);
  config.layers = 2;
  return RandomModel(config, 3);
}

// One binary table for input and output, of three planes.
Model TiedModel() {
  ModelConfig config = TinyConfig("belm", 60, 9, 20);
  config.preset = "custom";
  config.layers = 2;
  config.output_embedding = MatrixKind::kTied;
  config.input_projection = MatrixKind::kNone;
  config.bit_planes = 3;
  return RandomModel(config, 3);
}

void ExpectQuantized(const Model& model) {
  ASSERT_OK_AND_ASSIGN(const Model quantized, QuantizeRecurrent(model));
  const std::vector<TensorSpec> specs = RequiredTensors(quantized.config);
  ASSERT_EQ(quantized.tensors.size(), specs.size());
  for (const TensorSpec& spec : specs) {
    ASSERT_TRUE(quantized.tensors.contains(spec.name)) << spec.name;
    EXPECT_THAT(CheckTensor(spec, quantized.tensors.at(spec.name)), IsOk());
  }
  for (const std::string name : {"lstm.0.weight_x", "lstm.0.weight_h", "lstm.1.weight_h"}) {
    const std::span<const float> from = model.tensors.at(name).f32();
    const std::span<const int8_t> to = quantized.tensors.at(name).i8();
    std::string scale_name = name;
    const std::span<const float> scales =
        quantized.tensors.at(scale_name.replace(7, 6, "scale")).f32();
    const size_t columns = from.size() / scales.size();
    for (size_t i = 0; i < from.size(); ++i) {
      const float scale = scales[i / columns];
      const float error = std::fabs(from[i] - scale * static_cast<float>(to[i]));
      if (std::abs(to[i]) < 127) {
        ASSERT_LE(error, 0.501f * scale) << name << " " << i;
      } else {
        ASSERT_GE(std::fabs(from[i]), 126.49f * scale);
        ASSERT_GT(from[i] * static_cast<float>(to[i]), 0);
      }
    }
  }
}

TEST(QuantizeTest, EveryTensorIsThereAndRowsAreWithinHalfAStepOrClipped) {
  ExpectQuantized(FloatModel());
  ExpectQuantized(TiedModel());
}

TEST(QuantizeTest, ARowOfZerosStaysZero) {
  Model model = FloatModel();
  for (float& w : model.tensors.at("lstm.0.weight_h").mutable_f32()) w = 0;
  ASSERT_OK_AND_ASSIGN(const Model quantized, QuantizeRecurrent(model));
  for (const int8_t q : quantized.tensors.at("lstm.0.weight_h").i8()) EXPECT_EQ(q, 0);
  for (const float s : quantized.tensors.at("lstm.0.scale_h").f32()) EXPECT_TRUE(std::isfinite(s));
}

TEST(QuantizeTest, OutliersAreClippedWhereThatIsCloser) {
  Model model = FloatModel();
  const std::span<float> row = model.tensors.at("lstm.1.weight_h").mutable_f32().subspan(0, 20);
  for (size_t k = 0; k < row.size(); ++k) row[k] = 0.5f;  // Between steps of 1 / 127.
  row[0] = 1;
  ASSERT_OK_AND_ASSIGN(const Model quantized, QuantizeRecurrent(model));
  EXPECT_LT(quantized.tensors.at("lstm.1.scale_h").f32()[0], 0.995f / 127);
  EXPECT_EQ(quantized.tensors.at("lstm.1.weight_h").i8()[0], 127);
}

TEST(QuantizeTest, RefusesWhatIsNotFloat) {
  const Model model = RandomModel(TinyConfig("bllm", 60, 9, 20), 3);
  EXPECT_THAT(QuantizeRecurrent(model),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("recurrent: \"binary\"")));
}

}  // namespace
}  // namespace bitlm::trainer
