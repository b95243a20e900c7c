#include "engine/model/model_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "engine/model/tensor.h"
#include "tests/support/random_model.h"
#include "tests/support/status_matchers.h"

namespace bitlm {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

TEST(ModelConfigTest, PresetsHaveTheirNameAndAreValidOnceSized) {
  EXPECT_THAT(PresetNames(), ElementsAre("lstm", "belm", "bllm", "bllm-no-i", "bllm-no-o",
                                         "bllm-no-io", "bw-lstm", "xnor-lstm", "xnor-lstm-bn"));
  for (const std::string& name : PresetNames()) {
    ASSERT_OK_AND_ASSIGN(ModelConfig config, PresetConfig(name));
    EXPECT_EQ(config.preset, name);
    EXPECT_THAT(ValidateConfig(config),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("hidden_size")));
    config.hidden_size = config.embedding_size = 6;
    config.vocabulary_size = 10;
    EXPECT_THAT(ValidateConfig(config), IsOk()) << name;
  }
}

TEST(ModelConfigTest, UnknownPresetListsTheKnownOnes) {
  EXPECT_THAT(PresetConfig("gpt"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("\"gpt\""), HasSubstr("lstm, belm, bllm"))));
}

TEST(ModelConfigTest, EveryPresetIsServed) {
  for (const std::string& name : PresetNames()) {
    EXPECT_THAT(CheckServable(TinyConfig(name, 10, 6, 6)), IsOk()) << name;
  }
}

struct Change {
  const char* option;  // Named at the start of the error.
  std::function<void(ModelConfig&)> apply;
};

TEST(ModelConfigTest, UnservableOptionIsNamed) {
  const Change changes[] = {
      {"activation_planes",
       [](auto& c) {
         c.recurrent = MatrixKind::kInt8;
         c.activation_planes = 2;
         c.hidden_size = 1025;
       }},
  };
  for (const Change& change : changes) {
    ModelConfig config = TinyConfig("bllm", 10, 5, 7);
    change.apply(config);
    EXPECT_THAT(CheckServable(config), StatusIs(absl::StatusCode::kFailedPrecondition,
                                                StartsWith(std::string(change.option) + ":")));
  }
}

TEST(ModelConfigTest, ServableOptionsMayBeCombined) {
  ModelConfig config = TinyConfig("bllm", 10, 5, 7);
  config.preset = "custom";
  config.embedding = MatrixKind::kFloat;
  config.input_projection = MatrixKind::kFloat;
  config.layers = 3;
  config.activation_planes = 2;
  config.bit_planes = 3;
  config.recurrent_planes = 1;
  config.projection_planes = 2;
  config.output_bias = true;
  config.context = ContextKind::kDocument;
  config.self_normalized = true;
  EXPECT_THAT(CheckServable(config), IsOk());
  // Without a binary projection or recurrent matrix the kind of scale means nothing.
  config = TinyConfig("lstm", 10, 7, 7);
  config.scale = ScaleKind::kPerMatrix;
  EXPECT_THAT(CheckServable(config), IsOk());
}

TEST(ModelConfigTest, InvalidOptionIsNamed) {
  const Change changes[] = {
      {"preset", [](auto& c) { c.preset = "unheard-of"; }},
      {"embedding", [](auto& c) { c.embedding = MatrixKind::kInt8; }},
      {"embedding", [](auto& c) { c.embedding = MatrixKind::kTied; }},
      {"output_embedding", [](auto& c) { c.output_embedding = MatrixKind::kNone; }},
      {"input_projection", [](auto& c) { c.input_projection = MatrixKind::kTied; }},
      {"output_projection", [](auto& c) { c.output_projection = MatrixKind::kInt8; }},
      {"recurrent", [](auto& c) { c.recurrent = MatrixKind::kNone; }},
      {"bit_planes", [](auto& c) { c.bit_planes = 0; }},
      {"bit_planes", [](auto& c) { c.bit_planes = 4; }},
      {"recurrent_planes", [](auto& c) { c.recurrent_planes = 4; }},
      {"recurrent_planes", [](auto& c) { c.recurrent_planes = -1; }},
      {"recurrent_planes",
       [](auto& c) { c.recurrent_planes = 2, c.recurrent = MatrixKind::kFloat; }},
      {"projection_planes", [](auto& c) { c.projection_planes = 4; }},
      {"projection_planes",
       [](auto& c) {
         c.projection_planes = 2;
         c.input_projection = c.output_projection = MatrixKind::kFloat;
       }},
      {"activation_planes", [](auto& c) { c.activation_planes = 3; }},
      {"layers", [](auto& c) { c.layers = 0; }},
      {"layers", [](auto& c) { c.layers = 9; }},
      {"hidden_size", [](auto& c) { c.hidden_size = 65537; }},
      {"embedding_size", [](auto& c) { c.embedding_size = 0; }},
      {"vocabulary_size", [](auto& c) { c.vocabulary_size = 1; }},
      {"vocabulary_size", [](auto& c) { c.vocabulary_size = 4194305; }},
      {"classes", [](auto& c) { c.classes = 2; }},
      {"classes", [](auto& c) { c.head = HeadKind::kClassifier; }},
      {"output_embedding",
       [](auto& c) {
         c.head = HeadKind::kClassifier;
         c.classes = 2;
         c.output_embedding = MatrixKind::kTied;
       }},
      {"embedding_size", [](auto& c) { c.output_projection = MatrixKind::kNone; }},
      {"activation",
       [](auto& c) {
         c.activation = ActivationKind::kSign;
         c.recurrent = MatrixKind::kFloat;
       }},
  };
  for (const Change& change : changes) {
    ModelConfig config = TinyConfig("bllm", 10, 5, 7);
    change.apply(config);
    EXPECT_THAT(ValidateConfig(config), StatusIs(absl::StatusCode::kInvalidArgument,
                                                 StartsWith(std::string(change.option) + ":")));
  }
  ModelConfig no_binary = TinyConfig("lstm", 10, 7, 7);
  no_binary.bit_planes = 2;
  EXPECT_THAT(ValidateConfig(no_binary),
              StatusIs(absl::StatusCode::kInvalidArgument, StartsWith("bit_planes:")));
}

TEST(ModelConfigTest, SetConfigOptionSetsEveryKind) {
  ModelConfig config;
  const std::pair<const char*, const char*> options[] = {
      {"preset", "custom"},
      {"embedding", "binary"},
      {"recurrent", "int8"},
      {"scale", "per_matrix"},
      {"activation", "sign"},
      {"norm", "batch"},
      {"hidden_size", "500"},
      {"output_bias", "true"},
      {"head", "classifier"},
      {"context", "document"},
      {"classes", "5"},
      {"output_embedding", "tied"},
      {"normalization", "lowercase_no_punctuation"}};
  for (const auto& [name, value] : options) {
    EXPECT_THAT(SetConfigOption(name, value, &config), IsOk());
  }
  EXPECT_EQ(config.preset, "custom");
  EXPECT_EQ(config.embedding, MatrixKind::kBinary);
  EXPECT_EQ(config.recurrent, MatrixKind::kInt8);
  EXPECT_EQ(config.scale, ScaleKind::kPerMatrix);
  EXPECT_EQ(config.activation, ActivationKind::kSign);
  EXPECT_EQ(config.norm, NormKind::kBatch);
  EXPECT_EQ(config.hidden_size, 500);
  EXPECT_TRUE(config.output_bias);
  EXPECT_EQ(config.head, HeadKind::kClassifier);
  EXPECT_EQ(config.context, ContextKind::kDocument);
  EXPECT_EQ(config.classes, 5);
  EXPECT_EQ(config.output_embedding, MatrixKind::kTied);
  EXPECT_EQ(config.normalization, NormalizationKind::kLowercaseNoPunctuation);
}

TEST(ModelConfigTest, SetConfigOptionRefusesWhatDoesNotParse) {
  const std::pair<const char*, const char*> options[] = {
      {"hidden_size", ""},   {"hidden_size", "5x"},
      {"hidden_size", " 5"}, {"hidden_size", "99999999999"},
      {"hidden_size", "+5"}, {"output_bias", "yes"},
      {"recurrent", "half"}, {"size_hidden", "5"}};
  for (const auto& [name, value] : options) {
    ModelConfig config;
    EXPECT_THAT(SetConfigOption(name, value, &config),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(StartsWith(std::string(name) + ":"),
                               HasSubstr("\"" + std::string(value) + "\""))));
    EXPECT_EQ(config, ModelConfig());
  }
}

TEST(ModelConfigTest, LstmInputIsTheEmbeddingOnlyWithoutAProjection) {
  ModelConfig config = TinyConfig("bllm", 10, 5, 7);
  config.layers = 2;
  EXPECT_EQ(config.LstmInputSize(0), 7);
  EXPECT_EQ(config.LstmInputSize(1), 7);
  config.input_projection = MatrixKind::kNone;
  EXPECT_EQ(config.LstmInputSize(0), 5);
  EXPECT_EQ(config.LstmInputSize(1), 7);
}

// [LCY18] Table 1, with E = H. The rest is rounding rows up to whole bytes and one scale a table.
TEST(WeightBytesTest, EqualsTheFormulasOfThePaper) {
  for (const auto& [v, h] : {std::pair(10000.0, 500.0), std::pair(10000.0, 1000.0),
                             std::pair(30000.0, 500.0), std::pair(20000.0, 300.0)}) {
    const auto bytes = [v = v, h = h](const char* preset) {
      return static_cast<double>(WeightBytes(
          TinyConfig(preset, static_cast<int>(v), static_cast<int>(h), static_cast<int>(h))));
    };
    const double lstm = 8 * v * h + 32 * h * h + 16 * h;
    const double belm = 0.25 * v * h + 40 * h * h + 24 * h;
    const double bllm = 0.25 * v * h + 1.25 * h * h + 48 * h;
    EXPECT_EQ(bytes("lstm"), lstm);
    EXPECT_NEAR(bytes("belm"), belm, 0.02 * belm);
    EXPECT_NEAR(bytes("bllm"), bllm, 0.02 * bllm);
  }
  // H a multiple of 8: exact but for the two scales of the tables.
  EXPECT_EQ(WeightBytes(TinyConfig("bllm", 10000, 512, 512)),
            10000 * 512 / 4 + 512 * 512 / 4 * 5 + 48 * 512 + 8);
}

std::vector<std::string> Lines(const ModelConfig& config) {
  std::vector<std::string> lines;
  for (const TensorSpec& spec : RequiredTensors(config)) {
    lines.push_back(spec.name + " " + std::string(ToString(spec.dtype)) + " " +
                    ShapeString(spec.shape));
  }
  return lines;
}

TEST(RequiredTensorsTest, Lstm) {
  EXPECT_THAT(Lines(TinyConfig("lstm", 10, 6, 6)),
              ElementsAre("embedding.weight F32 [10, 6]", "lstm.0.bias F32 [24]",
                          "lstm.0.weight_h F32 [24, 6]", "lstm.0.weight_x F32 [24, 6]",
                          "output_embedding.weight F32 [10, 6]"));
}

TEST(RequiredTensorsTest, Bllm) {
  EXPECT_THAT(Lines(TinyConfig("bllm", 10, 9, 6)),
              ElementsAre("embedding.scale F32 [1]", "embedding.weight U8 [10, 2]",
                          "input_projection.bias F32 [6]", "input_projection.scale F32 [6]",
                          "input_projection.weight U8 [6, 2]", "lstm.0.bias F32 [24]",
                          "lstm.0.scale F32 [24]", "lstm.0.weight_h U8 [24, 1]",
                          "lstm.0.weight_x U8 [24, 1]", "output_embedding.scale F32 [1]",
                          "output_embedding.weight U8 [10, 2]", "output_projection.bias F32 [9]",
                          "output_projection.scale F32 [9]", "output_projection.weight U8 [9, 1]"));
}

// Planes of matrices of their own, and the tables' for the rest.
TEST(RequiredTensorsTest, PlanesByMatrix) {
  ModelConfig config = TinyConfig("bllm-no-i", 10, 6, 6);
  config.bit_planes = 2;
  config.recurrent_planes = 3;
  config.projection_planes = 1;
  EXPECT_THAT(Lines(config),
              ElementsAre("embedding.scale F32 [2, 1]", "embedding.weight U8 [2, 10, 1]",
                          "lstm.0.bias F32 [24]", "lstm.0.scale F32 [3, 24]",
                          "lstm.0.weight_h U8 [3, 24, 1]", "lstm.0.weight_x U8 [3, 24, 1]",
                          "output_embedding.scale F32 [2, 1]",
                          "output_embedding.weight U8 [2, 10, 1]", "output_projection.bias F32 [6]",
                          "output_projection.scale F32 [6]", "output_projection.weight U8 [6, 1]"));
}

TEST(RequiredTensorsTest, EveryOtherOption) {
  ModelConfig config = TinyConfig("bw-lstm", 10, 6, 6);
  config.output_embedding = MatrixKind::kTied;
  config.embedding = MatrixKind::kBinary;
  config.norm = NormKind::kBatch;
  config.bit_planes = 2;
  config.output_bias = true;
  EXPECT_THAT(
      Lines(config),
      ElementsAre("embedding.scale F32 [2, 1]", "embedding.weight U8 [2, 10, 1]",
                  "lstm.0.bias F32 [24]", "lstm.0.gain_h F32 [24]", "lstm.0.gain_x F32 [24]",
                  "lstm.0.scale_h F32 [2, 1]", "lstm.0.scale_x F32 [2, 1]",
                  "lstm.0.weight_h U8 [2, 24, 1]", "lstm.0.weight_x U8 [2, 24, 1]",
                  "output_bias F32 [10]", "output_embedding.scale F32 [2, 1]"));
  config = TinyConfig("lstm", 10, 6, 6);
  config.recurrent = MatrixKind::kInt8;
  config.head = HeadKind::kClassifier;
  config.classes = 3;
  config.norm = NormKind::kLayer;
  EXPECT_THAT(
      Lines(config),
      ElementsAre("embedding.weight F32 [10, 6]", "lstm.0.bias F32 [24]", "lstm.0.gain_c F32 [6]",
                  "lstm.0.gain_h F32 [24]", "lstm.0.gain_x F32 [24]", "lstm.0.scale_h F32 [24]",
                  "lstm.0.scale_x F32 [24]", "lstm.0.shift_c F32 [6]", "lstm.0.weight_h I8 [24, 6]",
                  "lstm.0.weight_x I8 [24, 6]", "output_embedding.weight F32 [3, 6]"));
}

}  // namespace
}  // namespace bitlm
