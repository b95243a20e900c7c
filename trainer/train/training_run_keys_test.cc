// Keys of a recipe, through to what a run makes of them.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "engine/base/file.h"
#include "engine/model/model.h"
#include "engine/scoring/model_loading.h"
#include "trainer/train/run_data.h"
#include "trainer/train/training_run_testing.h"

namespace bitlm::trainer {
namespace {

using testing::Each;
using testing::HasSubstr;

class TrainingRunKeysTest : public TrainingRunTest {
 protected:
  // The model of a finished run.
  std::shared_ptr<const Model> Exported(const Recipe& recipe, const std::string& output) {
    TrainingOptions options = Options(output);
    options.precision = Precision::kFloat32;
    const std::string exported = TrainAndExport(recipe, options);
    return *ReadModel(exported);
  }
  // The parameters that a run starts from: of one whose only step has a rate of 0.
  std::shared_ptr<const Model> Initial(const std::string& preset, const std::string& keys,
                                       const std::string& output) {
    return Exported(
        MakeRecipe(preset, "epochs = 1e-6\nschedule = constant\nlearning_rate = 0\n" + keys),
        output);
  }
  void WriteText(const std::string& name, const std::string& text) {
    ASSERT_TRUE(WriteFileAtomically(directory_ + "/" + name, text).ok());
  }
  // Tokens that a finished run has trained on, </s> included.
  int64_t Tokens(const std::string& output) const {
    const std::string log = LogWithoutTimes(output);
    const std::vector<std::string> lines = absl::StrSplit(log, '\n', absl::SkipEmpty());
    const std::vector<std::string> last = absl::StrSplit(lines.back(), ',');
    return std::stoll(last[2]);
  }
};

// Of sentences of three, two and four tokens.
TEST(FirstTokensTest, TakesWholeSentencesUpToTheMost) {
  const TokenizedCorpus text{.tokens = {2, 3, 1, 4, 1, 5, 6, 7, 1}, .starts = {0, 3, 5, 9}};
  for (const auto& [most, sentences] :
       {std::pair(0, 3), std::pair(1, 1), std::pair(3, 1), std::pair(4, 1), std::pair(5, 2),
        std::pair(8, 2), std::pair(9, 3), std::pair(100, 3)}) {
    const TokenizedCorpus first = FirstTokens(text, most);
    EXPECT_EQ(first.sentences(), sentences) << most;
    EXPECT_THAT(first.tokens, testing::ElementsAreArray(text.tokens.begin(),
                                                        text.tokens.begin() + first.starts.back()))
        << most;
  }
}

// data.max_tokens: the first sentences alone are trained on; words are still those of the whole.
TEST_F(TrainingRunKeysTest, MaxTokensCutsTheTextButNotTheWords) {
  WriteText("train.txt", MadeUpText(1, 400) + "late\n");
  const std::string text = MadeUpText(1, 400);
  int64_t expected = 0;
  for (const absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    const int64_t tokens = std::count(line.begin(), line.end(), ' ') + 2;
    if (expected + tokens > 1000) break;
    expected += tokens;
  }
  const auto model = Exported(MakeRecipe("lstm", "epochs = 1\ndata.max_tokens = 1000\n"), "first");
  EXPECT_EQ(Tokens("first"), expected);
  EXPECT_EQ(model->config.vocabulary_size, 23);
  EXPECT_NE(model->vocabulary.Serialize().find("late\n"), std::string::npos);
}

// data.synthetic: trained on after the text, in full, and no source of words; a run does not go on
// with another.
TEST_F(TrainingRunKeysTest, SyntheticTextIsTrainedOnButHasNoWords) {
  WriteText("a.txt", "w1 generated w2\n\nw3\n");  // 4 + 2 tokens: no blank lines.
  WriteText("b.txt", "w4\n");                     // 2.
  const std::string keys = "epochs = 1\ndata.max_tokens = 1000\n";
  const auto plain = Exported(MakeRecipe("lstm", keys), "plain");
  const Recipe recipe = MakeRecipe("lstm", absl::StrCat(keys, "data.synthetic = ", directory_,
                                                        "/a.txt ", directory_, "/b.txt\n"));
  const auto more = Exported(recipe, "more");
  EXPECT_EQ(Tokens("more"), Tokens("plain") + 8);
  EXPECT_EQ(more->vocabulary.Serialize(), plain->vocabulary.Serialize());
  EXPECT_NE(CheckpointArrays("more"), CheckpointArrays("plain"));

  WriteText("b.txt", "w5\n");
  TrainingOptions options = Options("more");
  options.precision = Precision::kFloat32;
  const absl::Status status = TrainingRun::Create(recipe, options).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("another text"));
}

// init.uniform: of float matrices, in [-x, x]; latent binary ones keep their normal distribution.
TEST_F(TrainingRunKeysTest, UniformIsTheRangeOfFloatMatrices) {
  const auto uniform = Initial("lstm", "init.uniform = 0.05\n", "uniform");
  const auto normal = Initial("lstm", "", "normal");
  for (const char* name : {"embedding.weight", "lstm.0.weight_x", "lstm.0.weight_h"}) {
    SCOPED_TRACE(name);
    struct Moments {
      double least = 0, most = 0, deviation = 0;
    };
    const auto moments = [&](const Model& model) {
      Moments of;
      const auto values = model.tensors.at(name).f32();
      for (const float value : values) {
        const auto x = static_cast<double>(value);
        of.least = std::min(of.least, x);
        of.most = std::max(of.most, x);
        of.deviation += x * x / static_cast<double>(values.size());
      }
      of.deviation = std::sqrt(of.deviation);
      return of;
    };
    // Of 700 values or more the least and the greatest are within 4 % of the limits, but for e^-14;
    // the deviations of x / sqrt(3), and of a normal distribution's sqrt(1 / 32), within 10 %, by
    // four of their own and more.
    const Moments of = moments(*uniform);
    EXPECT_GE(of.least, -0.05f);
    EXPECT_LT(of.least, -0.048);
    EXPECT_LE(of.most, 0.05f);
    EXPECT_GT(of.most, 0.048);
    EXPECT_NEAR(of.deviation, 0.05 / std::sqrt(3.0), 0.1 * 0.05 / std::sqrt(3.0));
    EXPECT_NEAR(moments(*normal).deviation, std::sqrt(1 / 32.0), 0.11 * std::sqrt(1 / 32.0));
  }
  const auto binary = Initial("bllm", "init.uniform = 0.05\n", "binary");
  const auto plain = Initial("bllm", "", "plain");
  for (const auto& [name, tensor] : plain->tensors) {
    EXPECT_TRUE(std::equal(tensor.bytes.begin(), tensor.bytes.end(),
                           binary->tensors.at(name).bytes.begin()))
        << name;
  }
}

// init.forget_bias: of the second quarter of every layer's bias, the rest of which is 0.
TEST_F(TrainingRunKeysTest, ForgetBiasIsThatOfTheForgetGates) {
  for (const char* preset : {"lstm_layers_2", "bllm_layers_2"}) {
    SCOPED_TRACE(preset);
    const auto model = Initial(preset, "init.forget_bias = 1.5\n", preset);
    for (const char* name : {"lstm.0.bias", "lstm.1.bias"}) {
      const auto bias = model->tensors.at(name).f32();
      ASSERT_EQ(bias.size(), 4u * 32);
      for (size_t gate = 0; gate < 4; ++gate)
        EXPECT_THAT(bias.subspan(32 * gate, 32), Each(gate == 1 ? 1.5f : 0.0f)) << name << gate;
    }
  }
}

// init.gain: of the norms of products, not of the cell's.
TEST_F(TrainingRunKeysTest, GainIsThatOfTheNormsOfProducts) {
  const auto model = Initial("lstm_layer_norm", "init.gain = 0.7\n", "gain");
  EXPECT_THAT(model->tensors.at("lstm.0.gain_x").f32(), Each(0.7f));
  EXPECT_THAT(model->tensors.at("lstm.0.gain_h").f32(), Each(0.7f));
  EXPECT_THAT(model->tensors.at("lstm.0.gain_c").f32(), Each(1.0f));
}

// Dimensions in which all words of a table of signs [V, 32] agree.
int ConstantDimensionsOf(const Tensor& table) {
  const std::span<const uint8_t> rows = table.u8();
  int constant = 0;
  for (size_t dimension = 0; dimension < 32; ++dimension) {
    size_t positive = 0;
    for (size_t row = 0; row < rows.size() / 4; ++row)
      positive += rows[4 * row + dimension / 8] >> dimension % 8 & 1u;
    constant += positive == 0 || positive == rows.size() / 4;
  }
  return constant;
}

// self_normalization.dimensions: in the exported table, after a run in pieces, too, and the engine
// computes what the trainer does with them.
TEST_F(TrainingRunKeysTest, ConstantDimensionsAreTrainedAndExported) {
  WriteEqualValidationTexts(MadeUpText(2, 60), 16);
  const std::string keys =
      "optimizer = adam\nlearning_rate = 0.01\nschedule = linear\nepochs = 8\nbatch.streams = 16\n"
      "model.output_bias = true\nmodel.activation_planes = 2\nmodel.self_normalized = true\n"
      "self_normalization.weight = 1\n";
  const auto without = Exported(MakeRecipe("bllm", keys), "without");
  EXPECT_EQ(ConstantDimensionsOf(without->tensors.at("output_embedding.weight")), 0);
  const Recipe recipe = MakeRecipe("bllm", keys + "self_normalization.dimensions = 6\n");
  const auto model = Exported(recipe, "whole");
  EXPECT_EQ(ConstantDimensionsOf(model->tensors.at("output_embedding.weight")), 6);
  EXPECT_LT(model->metadata.valid_perplexity, 10);
  std::vector<double> perplexities, deviations;
  for (const absl::string_view line :
       absl::StrSplit(LogWithoutTimes("whole"), '\n', absl::SkipEmpty())) {
    const std::vector<std::string> fields = absl::StrSplit(line, ',');
    if (fields[0] == "epoch") continue;
    perplexities.push_back(std::stod(fields[fields.size() - 2]));
    deviations.push_back(std::stod(fields.back()));
  }
  const auto best = std::min_element(perplexities.begin(), perplexities.end());
  EXPECT_NEAR(model->metadata.valid_perplexity, *best, 1e-3 * *best);
  EXPECT_LT(deviations.back(), 0.2);
  TrainingOptions options = Options("parts");
  options.precision = Precision::kFloat32;
  ExpectSameInParts(recipe, options);
}

}  // namespace
}  // namespace bitlm::trainer
